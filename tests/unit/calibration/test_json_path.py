from __future__ import annotations

import pytest

from eco2ai_callbacks.calibration.json_path import PathError, number_at, parse

DOCUMENT = {"switch:0": {"apower": 41.5}, "PowerControl": [{"PowerConsumedWatts": "344"}], "a.b": {"c": 7}, "on": True}


@pytest.mark.parametrize(
    ("path", "watts"),
    [
        ("switch:0.apower", 41.5),
        ("PowerControl[0].PowerConsumedWatts", 344.0),
        ("['a.b'].c", 7.0),
        ('["a.b"]["c"]', 7.0),
    ],
)
def test_a_path_leads_to_a_number(path: str, watts: float) -> None:
    assert number_at(DOCUMENT, path) == watts


@pytest.mark.parametrize("path", ["", ".a", "a..b", "a[", "a[x]", "a[-1]", "a]", "['a]", "a."])
def test_what_is_no_path_is_refused_with_what_is_accepted(path: str) -> None:
    with pytest.raises(PathError, match=r"accepted is a\.b\[0\]\.c"):
        parse(path)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("missing", "nothing at 'missing'"),
        ("PowerControl[1].PowerConsumedWatts", "nothing at"),
        ("PowerControl.name", "nothing at"),
        ("switch:0[0]", "nothing at"),
        ("switch:0", "no number at"),
        ("on", "no number at"),
    ],
)
def test_what_is_not_there_is_named(path: str, why: str) -> None:
    with pytest.raises(PathError, match=why):
        number_at(DOCUMENT, path)


@pytest.mark.parametrize("value", ["nan", "inf", "unavailable", None, []], ids=str)
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(PathError):
        number_at({"w": value}, "w")
