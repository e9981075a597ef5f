"""Rows of a CSV of any version of eco2AI."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.sinks.csv_append import append
from eco2ai_callbacks.sinks.csv_form import COLUMNS, Form, Row
from eco2ai_callbacks.sinks.csv_read import read_emissions

# As eco2ai 0.2.7 writes it.
OLD = (
    "project_name,experiment_description(model type etc.),start_time,duration(s),power_consumption(kWTh),"
    "CO2_emissions(kg),CPU_name,GPU_name,OS,region/country\n"
    '"old","an old run","2022-01-01 00:00:00","2.5","0.5","0.1","a CPU"," 0 device(s)","Linux","FR"\n'
)
VALUES: dict[str, object] = {
    **dict(zip(COLUMNS, ("a1", "demo", "two\nlines", "epoch: 1, loss: 0.5, ", "2026-01-01 10:00:00"), strict=False)),
    **{"duration(s)": 2.5, "power_consumption(kWh)": 1e-07, "CO2_emissions(kg)": "N/A"},
    **{"CPU_name": "CPU", "GPU_name": " 0 device(s)", "OS": "Linux", "region/country": "FR", "cost": 0.25},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "emission.csv"


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        (COLUMNS, "CSV of eco2AI 0.3, 13 columns"),
        (COLUMNS[:-1], "CSV of eco2AI 0.3 before costs, 12 columns"),
        (
            tuple(name for name in COLUMNS if name not in ("epoch", "cost")),
            "CSV of eco2AI 0.3 before epochs, 11 columns",
        ),
        (
            tuple(name for name in COLUMNS if name not in ("id", "epoch", "cost")),
            "CSV of eco2AI 0.1 and 0.2, 10 columns",
        ),
    ],
    ids=["13", "12", "11", "10"],
)
def test_the_fields_of_a_row_have_types_and_what_is_missing_is_none(path: Path, columns: tuple[str, ...], what: str):
    form = Form(columns)
    path.write_bytes(form.header() + form.row(VALUES))
    found = read_emissions(path)
    (row,) = found.rows
    assert found.what == what
    assert (row.line, row.project_name, row.experiment_description) == (2, "demo", "two\nlines")
    assert (row.duration_s, row.energy_kwh, row.co2_kg) == (2.5, 1e-07, None)
    assert (row.cpu, row.gpu, row.system, row.place) == ("CPU", " 0 device(s)", "Linux", "FR")
    assert row.id == ("a1" if "id" in columns else None)
    assert row.epoch == ("epoch: 1, loss: 0.5, " if "epoch" in columns else None)
    assert row.cost == (0.25 if "cost" in columns else None)


def test_a_file_of_an_old_version_is_read_with_the_row_that_was_added_to_it(path: Path):
    path.write_text(OLD)
    append(path, Row(VALUES))
    found = read_emissions(path)
    assert [(row.project_name, row.energy_kwh) for row in found.rows] == [("old", 0.5), ("demo", 1e-07)]
    assert [row.start_time for row in found.rows] == ["2022-01-01 00:00:00", "2026-01-01 10:00:00"]


@pytest.mark.parametrize(
    "form", [Form(delimiter=";", decimal=",", newline="\r\n", marked=True), Form(marked=True)], ids=["commas", "mark"]
)
def test_what_a_spreadsheet_has_saved_is_read_too(path: Path, form: Form):
    path.write_bytes(b"\xef\xbb\xbf" + form.header() + form.row(VALUES))
    found = read_emissions(path)
    assert [(row.duration_s, row.cost) for row in found.rows] == [(2.5, 0.25)]
    assert found.what == "CSV of eco2AI 0.3, 13 columns, as a spreadsheet has saved it"


@pytest.mark.parametrize(
    "line",
    ["a,b,c", ",".join(["x"] * 14), ",".join(["a", "b", "c", "d", "e", "two", *"fghijkl"])],
    ids=["short", "long", "no number"],
)
def test_a_line_that_is_no_whole_row_is_named(path: Path, line: str):
    path.write_bytes(Form().header() + line.encode() + b"\n\n" + Form().row(VALUES))
    found = read_emissions(path)
    assert [row.id for row in found.rows] == ["a1"]
    assert found.torn == (2,)
    assert found.rows[0].line == 4


@pytest.mark.parametrize(("cell", "value"), [("", None), ("N/A", None), ("nan", None), ("inf", None), ("1e3", 1e3)])
def test_what_is_no_finite_number_is_none(path: Path, cell: str, value: float | None):
    path.write_bytes(Form().header() + Form().row(VALUES | {"duration(s)": cell}))
    assert [row.duration_s for row in read_emissions(path).rows] == [value]


def test_another_file_is_refused_by_its_name(path: Path):
    path.write_text("timestamp,project_name,duration,emissions\n")
    with pytest.raises(
        SettingsError, match=r"^'.*emission\.csv' is no CSV of eco2AI; accepted is a file with its columns"
    ):
        read_emissions(path)
    path.write_bytes(Form().header())
    assert read_emissions(path).rows == ()


def test_a_field_beyond_all_measure_is_refused_by_its_line(path: Path):
    path.write_bytes(Form().header() + Form().row(VALUES) + b'"' + b"x" * 2**18)
    with pytest.raises(SettingsError, match=r"^line 4 of '.*emission\.csv' is no line of a CSV: field larger than"):
        read_emissions(path)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=1, max_size=3), number=st.floats(0, 1e9))
def test_what_is_written_is_read(path: Path, texts: list[str], number: float):
    path.unlink(missing_ok=True)
    for text in texts:
        append(path, Row({**VALUES, "project_name": text, "epoch": f"epoch: 1, {text}, ", "duration(s)": number}))
    found = read_emissions(path)
    assert found.torn == ()
    assert [(row.project_name, row.epoch) for row in found.rows] == [
        (None if text == "N/A" else text, f"epoch: 1, {text}, ") for text in texts
    ]
    assert {row.duration_s for row in found.rows} == {number}
