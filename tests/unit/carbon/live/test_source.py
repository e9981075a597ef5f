"""What replies of live sources are read with."""

from __future__ import annotations

from typing import Any

import pytest

from eco2ai_callbacks.carbon.live.source import Request, Unusable, figure, moment, rows, stamp


@pytest.mark.parametrize("reply", [None, [], "text", {}, {"data": None}, {"data": {}}, {"data": [1]}], ids=str)
def test_a_reply_without_the_list_is_of_no_use(reply: Any) -> None:
    with pytest.raises(Unusable, match="no list 'data'"):
        rows(reply, "data")
    assert rows({"data": [{"a": 1}]}, "data") == [{"a": 1}]


@pytest.mark.parametrize("value", ["12", True, float("nan"), float("inf"), [], -1, 5001], ids=str)
def test_what_is_no_intensity_is_of_no_use(value: Any) -> None:
    with pytest.raises(Unusable):
        figure(value)


def test_a_figure_is_a_number_or_missing() -> None:
    assert (figure(12), figure(0.5), figure(None)) == (12.0, 0.5, None)


@pytest.mark.parametrize("value", [None, 12, "noon", "2026-01-01T00:00", "2026-13-01T00:00Z"], ids=str)
def test_what_is_no_time_is_of_no_use(value: Any) -> None:
    with pytest.raises(Unusable, match="where a time belongs"):
        moment(value)


def test_times_are_read_and_written() -> None:
    assert moment("1970-01-01T01:00+01:00") == moment("1970-01-01T00:00Z") == 0.0
    assert moment("1970-01-01T00:05:00", utc=True) == 300.0
    assert stamp(5400.0 + 17, 1800.0) == "1970-01-01T01:30Z"


def test_a_request_does_not_show_its_secret() -> None:
    assert "s3cr3t" not in repr(Request("https://x", {}, {"auth-token": "s3cr3t"}))
