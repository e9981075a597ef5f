from __future__ import annotations

import signal
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.session.arguments import Arguments


class Index:
    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class Array:
    """As those of NumPy and torch: its one element is told, of more there is none to tell."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def item(self) -> Any:
        if len(self.values) != 1:
            raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")
        return self.values[0]


class Count(int):
    pass


class Broken:
    def __index__(self) -> int:
        raise KeyError("theirs")

    def __repr__(self) -> str:
        raise OSError("nor this")


@pytest.mark.parametrize(
    "value",
    [64, 64.0, Index(64), Array(64), Array(64.0), Decimal("64.00"), Fraction(128, 2), Count(64)],
    ids=lambda value: type(value).__name__,
)
def test_whole_numbers_of_any_kind_become_int(value: Any):
    guard = Guard()
    number = Arguments(guard).whole_number("samples", value)
    assert (number, type(number), guard.failures) == (64, int, ())


def test_nothing_given_is_no_failure():
    guard = Guard()
    assert Arguments(guard).given() == {"epoch": None, "samples": None, "tokens": None, "metrics": None}
    assert guard.failures == ()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.5, "1.5"),
        ("x", "'x'"),
        ("3", "'3'"),
        (b"3", "b'3'"),
        (True, "True"),
        (-1, "-1"),
        (-1.0, "-1.0"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (Decimal("NaN"), "Decimal('NaN')"),
        (Decimal("1e999999"), "Decimal('1E+999999')"),
        (3 + 0j, "(3+0j)"),
        ([1], "[1]"),
        (2**63, "9223372036854775808"),
        (10**100, "100000000000000000...0000000000000000000"),
        pytest.param(10**5000, "int", id="of 5000 digits"),
        pytest.param([-(10**5000)], "[int]", id="one of 5000 digits in a list"),
    ],
)
def test_what_is_none_is_left_out_and_named(value: Any, shown: str):
    guard = Guard()
    assert Arguments(guard).whole_number("epoch", value) is None
    assert guard.failures == (f"tracker: epoch={shown} is no whole number from 0 on; it is left out",)


@pytest.mark.parametrize("value", [Array(1, 2), Array(True), Array("3"), Array(None), Broken()])
def test_an_array_of_several_elements_or_of_no_numbers_is_none(value: Any):
    guard = Guard()
    assert Arguments(guard).whole_number("samples", value) is None
    assert guard.failures[-1].startswith("tracker: samples=<")


def test_of_each_name_one_value_is_named():
    guard = Guard()
    arguments = Arguments(guard)
    for epoch in range(100):
        arguments.given(epoch=epoch + 0.5, tokens=str(epoch))
    assert [failure.partition(" is ")[0] for failure in guard.failures] == ["tracker: epoch=0.5", "tracker: tokens='0'"]


def test_metrics_are_copied_and_what_is_no_mapping_is_left_out():
    guard, metrics = Guard(), {"loss": 0.5}
    found = Arguments(guard).given(metrics=metrics)["metrics"]
    assert found == metrics
    assert found is not metrics
    assert Arguments(guard).given(metrics=5)["metrics"] is None  # type: ignore[arg-type]
    assert guard.failures == ("tracker: metrics are left out: 'int' object is not iterable (TypeError)",)


class Signalled:
    """A number during whose conversion a signal comes."""

    def __init__(self, method: str) -> None:
        self.method = method

    def item(self) -> int:
        if self.method == "item":
            signal.raise_signal(signal.SIGALRM)
        return self

    def __index__(self) -> int:
        if self.method == "index":
            signal.raise_signal(signal.SIGALRM)
        raise TypeError


@pytest.mark.parametrize("method", ["item", "index"])
@pytest.mark.parametrize("kind", [RuntimeError, TypeError, ValueError], ids=lambda kind: kind.__name__)
def test_what_a_signal_handler_raises_meanwhile_reaches_the_program(method: str, kind: type[Exception]):
    def handler(*_: object) -> None:
        raise kind("the program's")

    guard, before = Guard(), signal.getsignal(signal.SIGALRM)
    signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(kind, match=r"^the program's$"):
            Arguments(guard).given(epoch=Signalled(method))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert guard.failures == ()
