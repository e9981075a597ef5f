"""The price of electricity, constant or by the time of day."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from datetime import datetime

from eco2ai_callbacks.errors import SettingsError

_DAY_S = 86_400.0


class PriceError(SettingsError):
    """A price is not accepted; ``reason`` says why, as one clause."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a kilowatt-hour, by the time of day.

    Args:
        value: A price per kWh, or eco2AI's dictionary of spans that cover the day once.
        spans: ``(from, to, price)`` in seconds since midnight, in order and without gaps.

    Raises:
        PriceError: The value is neither.

    Example:
        >>> Price({"8:00-20:00": 0.2, "20:00-8:00": 0.1}).cost(2.0, datetime(2026, 1, 1, 19), 7200.0)
        0.3
    """

    value: InitVar[float | Mapping[str, float]]
    spans: tuple[tuple[float, float, float], ...] = field(init=False)

    def __post_init__(self, value: float | Mapping[str, float]) -> None:
        object.__setattr__(self, "spans", tuple(_day(value)))

    def cost(self, kwh: float, start: datetime, seconds: float) -> float:
        """Return the cost of ``kwh`` that were used evenly over a period.

        Args:
            kwh: Energy, with the data centre's overhead.
            start: Start of the period, by the clock of the spans.
            seconds: Its length; it may cross ends of spans and midnights.
        """
        return kwh * self.mean(start, seconds)

    def mean(self, start: datetime, seconds: float) -> float:
        """Return the mean price over a period; the price at its start where its length is 0."""
        if len(self.spans) == 1:  # exact, whatever the time of day is
            return self.spans[0][2]
        at = start.hour * 3600.0 + start.minute * 60.0 + start.second + start.microsecond / 1e6
        if seconds <= 0:
            return next(price for begin, end, price in self.spans if begin <= at < end)
        days, rest = divmod(at + seconds, _DAY_S)
        whole = math.fsum(price * (end - begin) for begin, end, price in self.spans)
        return (days * whole + self._until(rest) - self._until(at)) / seconds

    def _until(self, at: float) -> float:
        """Return the integral of the price from midnight to ``at``."""
        return math.fsum(price * (min(end, at) - begin) for begin, end, price in self.spans if begin < at)


def _day(value: float | Mapping[str, float]) -> list[tuple[float, float, float]]:
    """Return the spans of a day, in order."""
    if not isinstance(value, Mapping):
        return [(0.0, _DAY_S, _price(value, value))]
    spans = sorted(span for text, price in value.items() for span in _spans(text, _price(price, value), value))
    covered = 0.0
    for begin, end, _ in spans:
        if begin != covered:
            raise _refused(value, f"two spans cover {_clock(begin)}" if begin < covered else _uncovered(covered))
        covered = end
    if covered < _DAY_S:
        raise _refused(value, _uncovered(covered))
    return spans


def _uncovered(at: float) -> str:
    return f"no span covers {_clock(at)}"


def _price(price: object, value: object) -> float:
    if isinstance(price, bool) or not isinstance(price, int | float) or not math.isfinite(price) or price < 0:
        raise _refused(value, f"{price!r} is no price per kWh")
    return float(price)


def _spans(text: object, price: float, value: object) -> list[tuple[float, float, float]]:
    """Return one span in seconds of the day; two where it crosses midnight."""
    found = re.fullmatch(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*", text) if isinstance(text, str) else None
    if found is None:
        raise _refused(value, f"{text!r} is no span like '8:00-20:00'")
    hour, minute, to_hour, to_minute = map(int, found.groups())
    begin, end = hour * 60 + minute, to_hour * 60 + to_minute
    if max(minute, to_minute) > 59 or begin >= 1440 or end > 1440:
        raise _refused(value, f"{text!r} has a time outside the day")
    pieces = [(begin, end)] if begin < end else [(begin, 1440), (0, end)]
    return [(low * 60.0, high * 60.0, price) for low, high in pieces if low < high]


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}"


def _refused(value: object, reason: str) -> PriceError:
    error = PriceError(
        f"price={value!r} is not accepted, {reason}; accepted are a number from 0 on, or spans that cover the day "
        "once, like {'8:00-20:00': 0.2, '20:00-8:00': 0.1}"
    )
    error.reason = reason
    return error
