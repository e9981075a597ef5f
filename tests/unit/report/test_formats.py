"""Reports as texts that others read."""

from __future__ import annotations

import csv
import io
import json

import pytest
from report_logs import HOSTILE, folder, hostile

from eco2ai_callbacks.report.formats import FORMATS, as_format, banded, mean_of, shown
from eco2ai_callbacks.report.groups import BY, Grouped, grouped, notes
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.sums import Sum


def spelt(form: str, by: str = "run") -> str:
    runs = load(folder())
    return as_format(grouped(runs, by), notes(runs), form)


def test_a_table_has_aligned_columns_with_a_total() -> None:
    lines = spelt("text").splitlines()
    assert lines[0].split() == ["run", "project", "energy", "CO2e", "time", "mean", "power", "measured", "note"]
    job = next(line for line in lines if line.startswith("job"))
    assert "140 mWh (46.7 to 280 mWh)" in job
    assert job.rstrip().endswith("finished, 2 ranks")
    total = next(line for line in lines if line.startswith("total"))
    assert "200 mWh" in total
    assert total.index("200 mWh") + len("200 mWh") == job.index("140 mWh") + len("140 mWh")
    assert any(line.startswith("mean") for line in lines)
    assert any(line.startswith("note: not covered: a switch") for line in lines)


def test_json_has_plain_numbers() -> None:
    found = json.loads(spelt("json", "epoch"))
    assert found["by"] == "epoch"
    first = next(row for row in found["rows"] if row["run"] == "job")
    assert (first["epoch"], first["attempt"], first["counts"]) == ("0", "1", True)
    assert first["energy_low_kwh"] < first["energy_kwh"] < first["energy_high_kwh"]
    assert found["total"]["energy_kwh"] == pytest.approx(720 / 3.6e6)
    assert found["notes"]


def test_csv_has_plain_numbers() -> None:
    rows = list(csv.DictReader(io.StringIO(spelt("csv"))))
    assert sorted(row["run"] for row in rows) == ["inner", "job", "killed", "outer"]
    job = next(row for row in rows if row["run"] == "job")
    assert float(job["energy_kwh"]) == pytest.approx(14 * 36 / 3.6e6)
    assert job["cost"] == ""


def test_markdown_and_latex_are_tables() -> None:
    assert spelt("markdown").startswith("| run | project | energy |")
    assert "\\begin{tabular}{ll" in as_format(grouped(load("logs"), "run"), [], "latex")


@pytest.fixture(scope="module")
def harmful(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return load(hostile(tmp_path_factory.mktemp("formats") / "hostile"))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("by", BY)
def test_hostile_names_do_no_harm(form: str, by: str, harmful: Runs) -> None:
    runs = harmful
    text = as_format(grouped(runs, by), notes(runs), form)
    assert not any(c in text for c in "\x1b\x07\u202e")
    if form == "csv":
        rows = list(csv.reader(io.StringIO(text)))
        assert len({len(row) for row in rows}) == 1
        assert not any(cell.startswith(("=", "+", "@", "\t")) for row in rows for cell in row)
    elif form == "json":
        assert json.loads(text)["rows"]
    elif form == "markdown":
        assert "<" not in text
        assert len({line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")}) == 1
    elif form == "latex":
        assert text.count("\\end{tabular}") == 1


def test_a_text_is_shown_on_one_line() -> None:
    assert shown("a\nb\tc") == "a�b�c"
    assert shown("x" * 100, 10) == "x" * 9 + "…"
    assert shown("größe 模型") == "größe 模型"
    assert all(shown(text).isprintable() for text in HOSTILE)


def test_a_unit_that_both_ends_of_a_band_have_is_named_once() -> None:
    assert banded(1.0, (0.9, 1.2), "Wh", 1000.0) == "1 kWh (900 Wh to 1.2 kWh)"
    assert banded(1.0, (1.1, 1.2), "Wh", 1000.0) == "1 kWh (1.1 to 1.2 kWh)"
    assert banded(1.0, None, "Wh", 1000.0) == "1 kWh"
    assert banded(None, None, "Wh", 1000.0) == "-"


def test_nothing_has_no_mean() -> None:
    assert mean_of(Grouped("run", ("run",), (), Sum(), 0)) is None
    assert as_format(grouped(Runs(), "run"), [], "text").splitlines()[-1].startswith("total")
