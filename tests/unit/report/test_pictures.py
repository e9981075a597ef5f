"""The charts of a report in one picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_logs import training

pytest.importorskip("altair")
pytest.importorskip("vl_convert")

from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.pictures import picture
from eco2ai_callbacks.report.runs import Runs


@pytest.mark.parametrize(("kind", "begin"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("pdf", b"%PDF")])
def test_all_charts_are_in_it(kind: str, begin: bytes) -> None:
    training(Path("eco2ai.jsonl"))
    found = picture(load("eco2ai.jsonl"), kind)
    assert found.startswith(begin)
    if kind == "svg":
        assert all(
            title in found.decode() for title in ("Energy over epochs", "loss against energy", "Forecast and outcome")
        )


def test_nothing_has_no_picture() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        picture(Runs(), "png")
