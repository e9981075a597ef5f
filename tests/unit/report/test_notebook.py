"""Usages and reports in notebooks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from report_logs import folder, hostile, training

from eco2ai_callbacks import Usage
from eco2ai_callbacks.report.load import load


def test_a_usage_shows_its_figures_and_channels() -> None:
    text = Usage(10.0, {"cpu": 3600.0, "gpu:<b>": 7200.0}, 1.5)._repr_html_()
    assert text.startswith("<table>")
    assert all(
        part in text for part in ("3 Wh", "1.5 g", "10 s", "1.08 kW", "<td>cpu</td><td>1 Wh</td>", "gpu:&lt;b&gt;")
    )
    assert "cost" not in text
    assert "<td>-</td>" in Usage()._repr_html_()


@pytest.mark.parametrize("logs", ["good", "hostile"])
def test_a_report_is_a_plain_table_without_the_extra(logs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "eco2ai_callbacks.report.page", None)
    text = load(folder() if logs == "good" else hostile())._repr_html_()
    assert text.startswith("<table><thead><tr><th>run</th>")
    assert "<td>total</td>" in text
    assert not any(part in text for part in ("<script", "<img", "\x1b"))
    assert "not covered" in text


def test_a_report_is_its_page_with_the_extra() -> None:
    pytest.importorskip("altair")
    pytest.importorskip("jinja2")
    pytest.importorskip("vl_convert")
    training(Path("eco2ai.jsonl"))
    text = load("eco2ai.jsonl")._repr_html_()
    assert text.startswith('<iframe title="Report"')
    assert text.count("<") == 2
