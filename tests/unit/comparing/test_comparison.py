"""One comparison as a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from eco2ai_callbacks.comparing.comparison import Comparison, percent
from eco2ai_callbacks.comparing.spread import Change

FIVE = (1.0,) * 5


def comparison(**fields: Any) -> Comparison:
    plain = {"measure": "epoch", "phrase": "per epoch", "baseline": "A", "other": "B", "before": FIVE, "after": FIVE}
    plain |= {"value": -0.12, "change": Change(-0.12, -0.16, -0.08), "p": 0.008, "quality": " at equal loss"}
    return Comparison(**plain | fields)


def test_a_difference_that_is_shown_is_stated() -> None:
    found = comparison()
    assert found.is_shown
    assert found.sentence == "B uses 12 % [8, 16] less energy per epoch than A at equal loss (5 and 5 runs, p = 0.008)."
    more = comparison(value=0.05, change=Change(0.05, 0.02, 0.081), quality="")
    assert more.sentence == "B uses 5 % [2, 8.1] more energy per epoch than A (5 and 5 runs, p = 0.008)."


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"change": Change(-0.12, -0.3, 0.06)}, "repeats differ by as much"),
        ({"p": 0.3}, "the rank test does not show it"),
        (
            {"before": (1.0,) * 3, "after": (1.0,) * 3, "p": 0.1},
            "3 and 3 runs are too few for the rank test, take 4 of each",
        ),
        ({"change": None, "p": None, "doubts": ("one", "two")}, "one; two"),
    ],
    ids=["interval", "rank test", "few runs", "doubts"],
)
def test_a_difference_that_cannot_be_told_says_why(fields: dict[str, Any], reason: str) -> None:
    found = comparison(**fields)
    assert not found.is_shown
    assert found.sentence.startswith("B used 12 % ")
    assert found.sentence.endswith(f"but that it uses less cannot be told: {reason}.")


def test_an_interval_that_holds_zero_has_both_signs() -> None:
    assert "12 % [-6, 30] less" in comparison(change=Change(-0.12, -0.3, 0.06)).sentence


def test_what_has_no_figure_is_not_compared() -> None:
    found = comparison(value=None, change=None, p=None, doubts=("no run of B got there",))
    assert found.sentence == "The energy per epoch of B and A cannot be compared: no run of B got there."
    assert not found.is_shown


def test_percentages_have_two_digits() -> None:
    assert [percent(share) for share in (0.12345, 0.012345, 0.0, -1e-5, 1e-15, -0.0005, 12.0, -0.3)] == [
        *("12", "1.2", "0", "0", "0", "-0.05", "1200", "-30"),
    ]


def test_a_narrow_interval_has_one_digit_more() -> None:
    narrow = comparison(change=Change(-0.12, -0.1204, -0.1196), p=0.0)
    assert " 12 % [12, 12] less" in narrow.sentence
    assert "p < 0.001" in narrow.sentence
    assert "12.3 % [12.2, 12.4] less" in comparison(value=-0.123, change=Change(-0.123, -0.124, -0.122)).sentence


def test_equal_energy_is_called_that() -> None:
    same = comparison(value=1e-15, change=Change(1e-15, -0.02, 0.021), p=1.0)
    assert same.sentence == (
        "B used as much energy per epoch as A at equal loss (5 and 5 runs, p = 1); "
        "a change of -2 % to 2.1 % is left open."
    )
    doubtful = comparison(value=0.0, change=None, p=None, doubts=("one run",))
    assert doubtful.sentence == (
        "B used as much energy per epoch as A at equal loss, but that it uses as much cannot be told: one run."
    )
    assert comparison(value=0.0, change=None, p=None).sentence.endswith("at equal loss.")
