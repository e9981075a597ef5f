"""Comparisons as text, JSON and Markdown."""

from __future__ import annotations

import json
from pathlib import Path

from report_logs import HOSTILE
from seeds import base_and_pruned, seed, seeds

from eco2ai_callbacks.comparing.forms import as_format, spread_of, table
from eco2ai_callbacks.comparing.groups import by_key
from eco2ai_callbacks.comparing.verdict import Compared, Question, compare
from eco2ai_callbacks.report.load import load

LOG = Path("eco2ai.jsonl")


def compared() -> Compared:
    return compare(by_key(load(LOG), "project"), Question())


def test_text_has_a_table_sentences_and_notes() -> None:
    base_and_pruned()
    lines = as_format(compared(), "text").splitlines()
    assert lines[0].split("  ")[0] == "group"
    assert lines[2].split("  ")[0] == "base"
    assert "5   10 mWh ± 1.6 %" in lines[2]
    assert lines[5].startswith("pruned uses 12 % [")
    assert lines[-1] == "note: all figures are IT energy, without the overhead of the data centre"


def test_reasons_that_hold_for_several_figures_are_given_once() -> None:
    base_and_pruned()
    seeds(LOG, "third", (1.0, 1.1), host="other")
    text = as_format(compared(), "text")
    assert text.count("the runs were on different hosts") == 1
    assert text.count("for the same reasons") == 2


def test_json_holds_all_figures() -> None:
    base_and_pruned()
    found = json.loads(as_format(compared(), "json"))
    assert [group["name"] for group in found["groups"]] == ["base", "pruned"]
    assert found["groups"][0]["runs"][0] == {
        **{"run": "base0", "energy_kwh": 180 / 3.6e6, "epochs": 4, "epoch_energy_kwh": 36 / 3.6e6},
    }
    first = found["comparisons"][0]
    assert first["change_low"] < first["change"] < first["change_high"] < 0
    assert (first["shown"], first["cannot_tell"], len(first["baseline_kwh"])) == (True, [], 5)


def test_names_do_no_harm() -> None:
    for number, name in enumerate(HOSTILE):
        seed(LOG, f"run{number}", project=name)
    found = compared()
    text, markdown = as_format(found, "text"), as_format(found, "markdown")
    assert not set("\x1b\x07\u202e") & {*text, *markdown}
    assert "<script" not in markdown
    assert "\n# c" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert len(rows) == len(HOSTILE) + 2
    assert [group["name"] for group in json.loads(as_format(found, "json"))["groups"]] == list(HOSTILE)


def test_a_table_is_aligned_and_a_spread_is_relative() -> None:
    assert table([["a", "b"], ["name", "1"], ["x", "22"]]) == ["a      b", "----  --", "name   1", "x     22"]
    assert spread_of([3.6, 3.6, 3.6]) == "1 mWh ± 0 %"
    assert spread_of([7.2]) == "2 mWh"
    assert spread_of([]) == "-"
