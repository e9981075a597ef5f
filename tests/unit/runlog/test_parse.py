"""The JSON value of a line."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.runlog.parse import as_written, is_torn, parsed


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "Infinity", "-Infinity", '{"a":NaN}', "[" * 100_000, "{} {}"],
    ids=["nothing", "open", "nan", "infinity", "minus infinity", "inside", "deep", "two"],
)
def test_what_is_no_json_is_none(text: str) -> None:
    assert parsed(text) is None
    assert as_written(text) is None


def test_a_number_beyond_all_floats_is_refused_or_infinite() -> None:
    assert parsed("[1e999]") is None
    assert as_written("[1e999]") == [float("inf")]


@pytest.mark.parametrize("text", ['{"a":[1,-0.5,1e-9]}', ' {"a":[1,-0.5,1e-9]} '], ids=["bare", "with spaces"])
def test_values_come_back(text: str) -> None:
    assert parsed(text) == as_written(text) == {"a": [1, -0.5, 1e-9]}


@pytest.mark.parametrize(
    ("text", "torn"),
    [('{"sch', True), ('{"schema":1,"run', True), ("\0\0", True), ("x", False), ("{}", False)],
    ids=["key", "record", "zeros", "text", "object"],
)
def test_a_record_that_was_cut_off_is_torn(text: str, torn: bool) -> None:
    assert is_torn(text) is torn
