"""Which of the values that a framework logs are numbers for the run log."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.integrations.logged import LONGEST_NAME, MOST_NAMES, logged, numbers


class Scalar:
    """A tensor without dimensions."""

    ndim = 0

    def __init__(self, value: float) -> None:
        self.value = value
        self.read = 0

    def __float__(self) -> float:
        self.read += 1
        return self.value


class Array(Scalar):
    """A tensor of one dimension, which ``float`` would accept where it has one element."""

    ndim = 1


class Refuses(Scalar):
    """A tensor that cannot be read, such as a complex one."""

    def __float__(self) -> float:
        raise RuntimeError("value cannot be converted to type double without overflow")


def test_numbers_of_any_kind_are_kept_as_floats() -> None:
    found = numbers({"loss": 1, "val_loss": Scalar(0.5), "accuracy": Decimal("0.25")})
    assert found == {"loss": 1.0, "val_loss": 0.5, "accuracy": 0.25}
    assert {type(value) for value in found.values()} == {float}


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, None, "0.5", b"0.5", True, [0.5], {"a": 0.5}, 10**400, Array(0.5), Refuses(0.5)],
    ids=["nan", "inf", "minus inf", "none", "text", "bytes", "bool", "list", "mapping", "huge", "array", "refuses"],
)
def test_what_is_no_finite_number_is_left_out_and_costs_no_other(value: object) -> None:
    assert numbers({"bad": value, "loss": 0.5}) == {"loss": 0.5}


@pytest.mark.parametrize("name", ["eco2ai/energy_kwh", "eval_eco2ai/energy_kwh", "x" * (LONGEST_NAME + 1), 3, None])
def test_names_of_ours_long_ones_and_what_is_no_name_are_left_out(name: object) -> None:
    assert numbers({name: 0.5, "x" * LONGEST_NAME: 0.25}) == {"x" * LONGEST_NAME: 0.25}


def test_of_many_names_the_losses_are_kept_and_no_others_are_read() -> None:
    values: dict[str, Any] = {f"layer{index}/norm": Scalar(float(index)) for index in range(1000)}
    found = numbers({**values, "val_Loss": 0.5, "loss": 0.25})
    assert len(found) == MOST_NAMES
    assert list(found)[:3] == ["val_Loss", "loss", "layer0/norm"]
    # A number on a GPU is waited for.
    assert sum(value.read for value in values.values()) == MOST_NAMES - 2


def test_what_was_logged_is_not_changed() -> None:
    values = {"loss": 0.5, "note": "warm-up"}
    numbers(values)
    assert values == {"loss": 0.5, "note": "warm-up"}


def test_nothing_was_logged() -> None:
    assert numbers(None) == numbers({}) == {}


def test_a_failure_is_recorded_and_not_raised() -> None:
    guard = Guard()

    def fails() -> Any:
        raise AttributeError("no such thing")

    assert logged(guard, fails) == {}
    assert guard.failures == ("logged metrics: no such thing (AttributeError)",)
    assert logged(guard, lambda: {"loss": 0.5}) == {"loss": 0.5}
