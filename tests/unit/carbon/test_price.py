"""Prices by the hour: weighted by time across borders and midnights, and refused where they leave a question open."""

from __future__ import annotations

import copy
import pickle
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.carbon.price import Price
from eco2ai_callbacks.errors import SettingsError

DAY_AND_NIGHT = {"8:00-20:00": 0.2, "20:00-8:00": 0.1}
NOON = datetime(2026, 11, 24, 12)


def test_one_price_holds_all_day() -> None:
    assert Price(0.25).cost(2.0, NOON, 100_000.0) == pytest.approx(0.5)
    assert Price(0).cost(2.0, NOON, 10.0) == 0.0


@pytest.mark.parametrize(
    ("start", "hours", "mean"),
    [
        ("08:00", 12, 0.2),
        ("20:00", 12, 0.1),
        ("19:00", 2, 0.15),
        ("07:00", 4, 0.175),
        ("22:00", 4, 0.1),
        ("00:00", 24, 0.15),
        ("13:37", 24, 0.15),
        ("12:00", 48, 0.15),
        ("18:00", 28, (2 * 0.2 + 12 * 0.1 + 12 * 0.2 + 2 * 0.1) / 28),
        ("23:59", 0, 0.1),
        ("08:00", 0, 0.2),
        ("20:00", 0, 0.1),
        ("00:00", 0, 0.1),
    ],
)
def test_prices_are_weighted_by_time(start: str, hours: float, mean: float) -> None:
    begin = datetime.combine(NOON.date(), datetime.strptime(start, "%H:%M").time())
    assert Price(DAY_AND_NIGHT).mean(begin, hours * 3600.0) == pytest.approx(mean)
    assert Price(DAY_AND_NIGHT).cost(3.0, begin, hours * 3600.0) == pytest.approx(3.0 * mean)


@pytest.mark.parametrize(
    "value",
    [
        {"0:00-24:00": 0.2},
        {"0:00-0:00": 0.2},
        {"8:00-8:00": 0.2},
        {"08:00-20:00": 0.2, "20:00-08:00": 0.2},
        {" 8:00 - 20:00 ": 0.2, "20:00-8:00": 0.2},
        {"8:30-19:00": 0.2, "19:00-6:00": 0.2, "6:00-8:30": 0.2},
        {"19:00-6:00": 0.2, "6:00-8:30": 0.2, "8:30-19:00": 0.2},
    ],
)
def test_spans_that_cover_the_day_once_are_accepted_in_any_order(value: dict[str, float]) -> None:
    assert Price(value).mean(NOON, 86_400.0) == pytest.approx(0.2)
    assert Price(value).spans[0][0] == 0.0
    assert Price(value).spans[-1][1] == 86_400.0


@pytest.mark.parametrize("value", [0.2, {"0:00-24:00": 0.2}])
def test_a_constant_price_is_the_mean_of_any_time_exactly(value: float | dict[str, float]) -> None:
    for minutes in range(0, 1440, 7):
        assert Price(value).mean(NOON + timedelta(minutes=minutes, microseconds=123_457), 1_800.0) == 0.2


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({}, "no span covers 0:00"),
        ({"8:00-20:00": 0.2}, "no span covers 0:00"),
        ({"0:00-20:00": 0.2}, "no span covers 20:00"),
        ({"8:00-20:00": 0.2, "20:30-8:00": 0.1}, "no span covers 20:00"),
        ({"8:00-20:00": 0.2, "19:30-8:00": 0.1}, "two spans cover 19:30"),
        ({"8:00-20:00": 0.2, "20:00-8:00": 0.1, "9:00-10:00": 0.3}, "two spans cover 9:00"),
        ({"0:00-24:00": 0.2, "0:00-8:00": 0.1}, "two spans cover 0:00"),
        ({"8-20": 0.2, "20-8": 0.1}, "'8-20' is no span"),
        ({"day": 0.2}, "'day' is no span"),
        ({8: 0.2}, "8 is no span"),
        ({"8:00-20:60": 0.2}, "outside the day"),
        ({"24:00-8:00": 0.2}, "outside the day"),
        ({"8:00-24:30": 0.2}, "outside the day"),
        ({"0:00-24:00": "cheap"}, "'cheap' is no price"),
        ({"0:00-24:00": -0.1}, "-0.1 is no price"),
        ({"0:00-24:00": float("nan")}, "nan is no price"),
        (-1.0, "-1.0 is no price"),
        (float("inf"), "inf is no price"),
        ("0.2", "'0.2' is no price"),
        (True, "True is no price"),
        (None, "None is no price"),
    ],
)
def test_what_leaves_a_question_open_is_refused_in_one_sentence(value: object, why: str) -> None:
    with pytest.raises(SettingsError) as error:
        Price(value)  # type: ignore[arg-type]
    message = str(error.value)
    assert message.startswith("price=")
    assert why in message
    assert "accepted are a number from 0 on" in message
    assert "\n" not in message


def test_a_price_is_plain_data() -> None:
    price = Price(DAY_AND_NIGHT)
    assert pickle.loads(pickle.dumps(price)) == copy.copy(price) == price
    assert hash(price) == hash(Price(dict(reversed(DAY_AND_NIGHT.items()))))


@st.composite
def days(draw: st.DrawFn) -> dict[str, float]:
    """A day cut at one to six minutes, each span with a price."""
    cuts = sorted(draw(st.sets(st.integers(0, 1439), min_size=1, max_size=6)))
    spans = zip(cuts, [*cuts[1:], cuts[0]], strict=True)
    names = (f"{a // 60}:{a % 60:02d}-{b // 60}:{b % 60:02d}" for a, b in spans)
    return {name: draw(st.floats(0.0, 10.0)) for name in names}


starts = st.datetimes(datetime(2000, 1, 1), datetime(2050, 1, 1))
lengths = st.floats(1.0, 400_000.0)


def by_minutes(value: dict[str, float], start: datetime, seconds: float) -> float:
    """The mean price, added up minute by minute."""
    prices: dict[int, float] = {}
    for name, price in value.items():
        begin, end = (int(h) * 60 + int(m) for h, m in (part.split(":") for part in name.split("-")))
        length = (end - begin) % 1440 or 1440
        prices |= {(begin + i) % 1440: price for i in range(length)}
    total, at, left = 0.0, start.hour * 3600 + start.minute * 60 + start.second + start.microsecond / 1e6, seconds
    while left > 1e-9:
        step = min(left, 60 - at % 60)
        total += step * prices[int(at // 60) % 1440]
        at, left = at + step, left - step
    return total / seconds


@settings(deadline=None)
@given(days(), starts, st.floats(1.0, 200_000.0))
def test_the_mean_is_the_sum_over_minutes(value: dict[str, float], start: datetime, seconds: float) -> None:
    assert Price(value).mean(start, seconds) == pytest.approx(by_minutes(value, start, seconds), rel=1e-6, abs=1e-6)


@settings(deadline=None)
@given(days(), starts, lengths)
def test_the_mean_lies_between_the_lowest_and_the_highest(
    value: dict[str, float], start: datetime, seconds: float
) -> None:
    assert min(value.values()) - 1e-6 <= Price(value).mean(start, seconds) <= max(value.values()) + 1e-6


@settings(deadline=None)
@given(days(), starts, lengths, lengths)
def test_two_stretches_cost_what_they_cost_together(
    value: dict[str, float], start: datetime, first: float, second: float
) -> None:
    price, kw = Price(value), 0.3
    parts = price.cost(kw * first, start, first) + price.cost(kw * second, start + timedelta(seconds=first), second)
    # A datetime holds microseconds: the border may lie half of one off.
    assert parts == pytest.approx(price.cost(kw * (first + second), start, first + second), rel=1e-6, abs=1e-4)


@settings(deadline=None)
@given(days(), starts, st.integers(1, 5))
def test_whole_days_cost_the_same_from_any_hour_on(value: dict[str, float], start: datetime, count: int) -> None:
    price = Price(value)
    assert price.mean(start, count * 86_400.0) == pytest.approx(price.mean(NOON, 86_400.0), abs=1e-6)


@settings(deadline=None)
@given(st.floats(0.0, 10.0), starts, lengths, st.floats(0.0, 1e6))
def test_one_price_knows_no_hours(price: float, start: datetime, seconds: float, kwh: float) -> None:
    assert Price(price).cost(kwh, start, seconds) == pytest.approx(price * kwh, rel=1e-9)
