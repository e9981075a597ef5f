"""Values of fields that no check of records looks at."""

from __future__ import annotations

from typing import Any

import pytest

from eco2ai_callbacks.report import fields


@pytest.mark.parametrize("value", [None, 1, "text", [1]], ids=str)
def test_what_is_no_mapping_is_an_empty_one(value: Any) -> None:
    assert fields.mapping(value) == {}
    assert fields.mapping({"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("value", "found"),
    [(1, 1.0), (2.5, 2.5), (True, None), ("1", None), (10**400, None), (float("inf"), None), (float("nan"), None)],
    ids=["whole", "float", "bool", "text", "beyond floats", "infinity", "nan"],
)
def test_a_number_is_finite(value: Any, found: float | None) -> None:
    assert fields.number(value) == found


def test_a_band_has_two_ends() -> None:
    assert fields.band((1, 2.0)) == (1.0, 2.0)
    assert [fields.band(value) for value in (None, (1,), (1, "2"), {1: 2, 3: 4})] == [None] * 4


def test_a_text_is_cut_where_no_name_is_as_long() -> None:
    assert fields.text("name") == "name"
    assert len(fields.text("x" * 10_000_000)) == fields.LONGEST
    assert fields.text(7) == ""
    assert fields.texts(("a", 7, "b")) == ("a", "b")
    assert fields.texts("ab") == ()


@pytest.mark.parametrize("label", ["", "yesterday", "9999-99-99", "0001-01-01T00:00:00+14:00", 7, "x" * 10_000])
def test_a_label_that_is_no_time_is_none(label: Any) -> None:
    assert fields.moment(label) is None


def test_a_label_keeps_its_zone() -> None:
    found = fields.moment("2026-01-01T12:00:00.000+02:00")
    assert found is not None
    assert found.isoformat() == "2026-01-01T12:00:00+02:00"
