"""The forms of values: what is accepted in words, a check, and a parser for text."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

# Those of ASCII, and what else ends a line: all that could end a record, or steer a terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


class ControlCharacter(ValueError):
    """A text holds a line break or another control character."""


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a value.

    Args:
        accepted: What is accepted, in words; error messages end with it.
        check: Return the value as the settings hold it; raise where it is not accepted.
        parse: Return the value that a text spells, in a variable or on a command line.
        none: Whether ``None`` is accepted, and the text ``none`` means it.

    Example:
        >>> number("a number above 0, in watts, or None", 0.0, above=True, none=True).read("65")
        65.0
        >>> choice("basic", "all").accepted
        "'basic' or 'all'"
    """

    accepted: str
    check: Callable[[Any], Any]
    parse: Callable[[str], Any] = str
    none: bool = False

    def value(self, value: Any) -> Any:
        """Return a value as the settings hold it; raise where it is not accepted."""
        return None if self.none and value is None else self.check(value)

    def read(self, text: str) -> Any:
        """Return the value that a text spells, checked; raise where it is not accepted."""
        return None if self.is_none(text) else self.value(self.parse(text.strip()))

    def is_none(self, value: Any) -> bool:
        """Return whether a value is the text ``none``, where that means ``None``."""
        return self.none and isinstance(value, str) and value.strip().lower() == "none"


def fail() -> Any:
    """Raise the error that a refused value causes."""
    raise ValueError


def plain(value: str) -> str:
    """Return a text that holds no control character; raise where it holds one.

    Example:
        >>> plain("one line")
        'one line'
    """
    if _CONTROL.search(value):
        raise ControlCharacter("line breaks and other control characters are not")
    return value


def text(accepted: str, *, empty: bool = False, pattern: str = "", none: bool = False) -> Form:
    """Return the form of a text without control characters.

    Args:
        accepted: What is accepted, in words.
        empty: Whether it may be empty or blank.
        pattern: The regular expression that it must match as a whole.
        none: Whether ``None`` is accepted.
    """

    def check(value: Any) -> str:
        if not isinstance(value, str) or not (empty or value.strip()):
            fail()
        plain(value)
        return str(value) if not pattern or re.fullmatch(pattern, value) else fail()

    return Form(accepted, check, none=none)


def path(accepted: str, *, none: bool = False) -> Form:
    """Return the form of a path without control characters; ``~`` is expanded."""
    return Form(accepted, _path, none=none)


def flag() -> Form:
    """Return the form of a truth value."""
    return Form("True or False", _flag, _parse_flag)


def choice(*words: str, none: bool = False) -> Form:
    """Return the form of one of some words, or of ``None``."""
    quoted = [*(repr(word) for word in words), *(["None"] if none else [])]
    accepted = f"{', '.join(quoted[:-1])} or {quoted[-1]}"
    return Form(accepted, lambda value: str(value) if value in words else fail(), none=none)


def number(
    accepted: str,
    low: float,
    high: float = math.inf,
    *,
    above: bool = False,
    off: bool = False,
    none: bool = False,
) -> Form:
    """Return the form of a finite number.

    Args:
        accepted: What is accepted, in words.
        low: The lowest value.
        high: The highest value.
        above: Whether ``low`` itself is refused.
        off: Whether 0 is accepted too, below ``low``.
        none: Whether ``None`` is accepted.
    """

    def check(value: Any) -> float:
        if isinstance(value, bool | str | bytes):
            fail()
        figure = float(value)  # NumPy's and torch's scalars too
        if off and figure == 0:
            return 0.0
        good = math.isfinite(figure) and (figure > low if above else figure >= low) and figure <= high
        return figure if good else fail()

    return Form(accepted, check, float, none)


def integer(accepted: str, low: int, high: float = math.inf, *, none: bool = False) -> Form:
    """Return the form of a whole number from ``low`` to ``high``."""
    return Form(accepted, lambda value: _integer(value, low, high), int, none)


def number_or(word: str, form: Form) -> Form:
    """Return the form of a number, or of one word in its place."""
    return Form(
        f"{form.accepted}, or {word!r}",
        lambda value: value if value == word else form.check(value),
        lambda text: text if text == word else form.parse(text),
        form.none,
    )


def price() -> Form:
    """Return the form of a price: a number, or numbers by hours."""
    amount, hours = number("", 0.0).check, text("").check

    def check(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return amount(value)
        return {hours(key): amount(item) for key, item in value.items()} if value else fail()

    return Form(
        "a price per kWh of 0 or more, a mapping such as {'8:00-20:00': 0.2, '20:00-8:00': 0.1}, or None",
        check,
        json.loads,
        none=True,
    )


def over_time() -> Form:
    """Return the form of figures over time: a file, a function of the time, or a live source."""

    def check(value: Any) -> Any:
        if callable(value):
            return value
        live = isinstance(value, str) and value.startswith("live:")
        return plain(value) if live else _path(value)

    return Form(
        "a CSV or Parquet file of hours, a function that returns g/kWh for a datetime, 'live:...' for a live source, "
        "or None",
        check,
        none=True,
    )


def gpus() -> Form:
    """Return the form of a choice of GPUs."""
    return Form(
        "'auto', 'visible', 'all', a list of indices or of UUIDs (GPU-..., MIG-...), or () for none", _gpus, _parse_gpus
    )


def _path(value: Any) -> Path:
    found = Path(value)
    plain(str(found))
    return found.expanduser() if str(value).strip() else fail()


def _flag(value: Any) -> bool:
    return value if isinstance(value, bool) else fail()


def _parse_flag(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    return words[text.lower()] if text.lower() in words else fail()


def _integer(value: Any, low: int, high: float = math.inf) -> int:
    whole = fail() if isinstance(value, bool) else operator.index(value)  # NumPy's integers too
    return int(whole) if low <= whole <= high else fail()


def _gpus(value: Any) -> str | tuple[int | str, ...]:
    if isinstance(value, str):
        return () if value == "none" else value if value in ("auto", "visible", "all") else _gpus([value])
    items = [value] if isinstance(value, SupportsIndex) else list(value)
    return tuple(_gpu(item) for item in items)


def _gpu(value: Any) -> int | str:
    if isinstance(value, str):
        return plain(value) if value.startswith(("GPU-", "MIG-")) else fail()
    return _integer(value, 0)


def _parse_gpus(text: str) -> Any:
    if text.lower() in ("auto", "visible", "all", "none"):
        return text.lower()
    parts = [part.strip() for part in text.strip("()[]").split(",") if part.strip()]
    return [int(part) if part.isdigit() else part for part in parts]
