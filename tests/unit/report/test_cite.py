"""The paragraph and the table for a paper."""

from __future__ import annotations

import re
from pathlib import Path

from publications import trained_runs
from report_logs import HOSTILE, folder, training

from eco2ai_callbacks.report.cite import FORMATS, bibliography, cited, hours, rows, sentence
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.paper_forms import FORMS
from eco2ai_callbacks.report.statement import statement


def test_the_paragraph_holds_what_a_reader_needs() -> None:
    text = sentence(statement(trained_runs()))
    for part in (
        "1 run used 276 Wh (252 to 324 Wh) of electricity in 3 h 00 min, 3 GPU-hours on 1 x NVIDIA L4, and caused 17.6",
        "of CO2e. CO2e is location-based, with 53.26 g CO2e/kWh for France (Ember 2026-04, 2023, lifecycle)",
        "and a PUE of 1.2.",
        "Energy is measured: gpu by nvml-energy; estimated: cpu by cpu-model:vm and ram by ram-model; 78% is",
        "the manufacture of hardware are not in it.",
        "No meter read Google TPU v3.",
        "Figures are from eco2ai-callbacks 0.1.0.",
    ):
        assert part in text


def test_the_table_leaves_out_what_is_not_known() -> None:
    table = dict(rows(statement(trained_runs())))
    assert (table["GPU-hours"], table["PUE"], table["Place"]) == ("3", "1.2", "France")
    assert table["Energy with PUE"] == "331 Wh"
    training(Path("cpu.jsonl"), pue=1.0)
    plain = dict(rows(statement(load("cpu.jsonl"))))
    assert not {"GPU-hours", "GPUs", "Energy with PUE", "Not covered"} & plain.keys()


def test_runs_of_which_nothing_was_measured_are_said_to_be_so() -> None:
    assert sentence(statement(())) == "Nothing could be measured of 0 runs."
    assert "Energy, IT" not in dict(rows(statement(())))


def test_latex_is_whole() -> None:
    text = cited(statement(load(folder())), "latex")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
    body = text.partition(r"\toprule")[2].partition(r"\bottomrule")[0].strip().splitlines()
    assert all(re.fullmatch(r"[^&]+ & [^&]+ \\\\", line) for line in body)
    assert "CO2e" not in text


def test_hostile_names_stay_texts() -> None:
    for number, name in enumerate(HOSTILE):
        training(Path(f"{number}.jsonl"), f"{name} {number}", epochs=1, project=name, not_covered=(name,), version=name)
    found = statement(load("*.jsonl"))
    for form in ("text", "markdown", "latex"):
        for answers in (None, *FORMS):
            text = cited(found, form, answers)
            assert text.endswith("\n")
            assert "\x1b" not in text
            assert "\u202e" not in text
            assert form != "markdown" or "<script" not in text
            assert form != "latex" or text.count(r"\end{tabular}") == (1 if answers is None else 0)
    assert {"text", "markdown", "latex", "bibtex"} == set(FORMATS)


def test_the_sources_are_bibtex_entries() -> None:
    text = bibliography(statement(trained_runs()))
    assert text.startswith("@software{eco2ai-callbacks,\n  title = {eco2ai-callbacks},\n  version = {0.1.0},\n}\n")
    assert "@misc{ember-2026-04,\n  title = {Ember, Yearly Electricity Data" in text
    assert "  url = {https://ourworldindata.org/" in text
    training(Path("own.jsonl"), version="")
    assert bibliography(statement(load("own.jsonl"))).count("@") == 2
    training(Path("user.jsonl"), intensity={"g_per_kwh": 1.0, "dataset": "user"})
    assert "@misc" not in bibliography(statement(load("user.jsonl")))


def test_one_hour_is_singular() -> None:
    assert (hours(1.0), hours(2.5), hours(0.0004)) == ("1 GPU-hour", "2.5 GPU-hours", "0.0004 GPU-hours")
