"""Conversion of a program's arguments into fields of a record; invalid ones are left out and recorded."""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Mapping
from typing import Any, TypedDict

from eco2ai_callbacks.guard import Guard, is_a_signal_handlers

# The highest number that other readers of the log can be expected to hold: a signed 64-bit integer.
_HIGHEST = 2**63 - 1

# Integers of as many digits are always printed: sys.int_info.str_digits_check_threshold is 640.
_PRINTED_BITS = 2000


class Given(TypedDict):
    """The fields of a record that a program sets."""

    epoch: int | None
    samples: int | None
    tokens: int | None
    metrics: dict[str, Any] | None


class Arguments:
    """A converter of the arguments of one tracker's calls into fields of a record; never raises.

    For each name only the first invalid value is recorded: one in each epoch would crowd out all other failures.

    Args:
        guard: Records invalid values.

    Example:
        >>> Arguments(Guard()).given(samples=64.0)
        {'epoch': None, 'samples': 64, 'tokens': None, 'metrics': None}
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._named: set[str] = set()

    def given(
        self,
        *,
        epoch: object = None,
        samples: object = None,
        tokens: object = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> Given:
        """Return the fields as a record holds them; ``None`` for invalid values.

        Args:
            epoch: A whole number of any kind.
            samples: A whole number of any kind.
            tokens: A whole number of any kind.
            metrics: A mapping, or anything that ``dict`` accepts.
        """
        copied = None
        if metrics is not None:
            copied = self._guard.call("tracker: metrics are left out", lambda: dict(metrics), None)
        return {
            "epoch": None if epoch is None else self.whole_number("epoch", epoch),
            "samples": None if samples is None else self.whole_number("samples", samples),
            "tokens": None if tokens is None else self.whole_number("tokens", tokens),
            "metrics": copied,
        }

    def whole_number(self, name: str, value: object) -> int | None:
        """Return a whole number from 0 on as ``int``; ``None``, with a failure recorded, for another value.

        NumPy's and torch's scalars and arrays of one element are accepted, and so is ``64.0``. A bool is not.

        Args:
            name: Name of the argument.
            value: The program's value; for ``None`` no failure is recorded.
        """
        if value is None or (type(value) is int and 0 <= value <= _HIGHEST):
            return value
        number = self._guard.call(f"tracker: {name}", lambda: _whole(value), None)
        if number is None and name not in self._named:
            self._named.add(name)
            self._guard.record(f"tracker: {name}={_shown(value)} is no whole number from 0 on; it is left out")
        return number


def _whole(value: Any) -> int | None:
    """Return the number; ``None`` where the value is not a whole number in range."""
    try:
        item = getattr(value, "item", None)
        if callable(item):  # a scalar or an array
            value = item()
        if isinstance(value, bool):
            return None
        try:
            number = operator.index(value)
        except TypeError as error:
            if is_a_signal_handlers(error):
                raise
        else:
            return number if 0 <= number <= _HIGHEST else None
        # Compared first: a Decimal may be an integer that would fill the memory.
        if not 0 <= value <= _HIGHEST:
            return None
        number = int(value)
        return number if number == value else None
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        if is_a_signal_handlers(error):
            raise
        return None


def _shown(value: object) -> str:
    """Return a short line that shows a value."""
    return " ".join(_Short().repr(value).split())


class _Short(reprlib.Repr):
    """Short texts of values; an integer that Python may refuse to print is ``int``, in every version of Python."""

    def repr_int(self, x: int, level: int) -> str:
        """Return an integer's digits, or the first and last of them."""
        return super().repr_int(x, level) if x.bit_length() <= _PRINTED_BITS else "int"
