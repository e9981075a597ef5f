"""The sums of a CSV; those that eco2AI itself returns are in tests/system/test_eco2ai_itself.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.eco2ai_compat.errors import FileDoesNotExistsError, NotNeededExtensionError
from eco2ai_callbacks.eco2ai_compat.summary import summary
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.sinks.csv_append import append
from eco2ai_callbacks.sinks.csv_form import COLUMNS, Form, Row

NUMBERS = ("duration(s)", "power_consumption(kWh)", "CO2_emissions(kg)", "cost")
NAMES = [
    "project_name",
    "total duration(s)",
    "total power_consumption(kWh)",
    "total CO2_emissions(kg)",
    "total electricity cost",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "emission.csv"
    for project, *numbers in (("b", 1.0, 2.0, 3.0, 4.0), ("a", 10.0, "N/A", 30.0, 0.0), ("b", 0.5, 0.5, 0.5, 0.5)):
        values = {**dict.fromkeys(COLUMNS, "x"), "project_name": project, **dict(zip(NUMBERS, numbers, strict=True))}
        append(path, Row(values))
    return path


def test_each_project_and_all_of_them_have_a_row(pandas: Any, path: Path) -> None:
    found = summary(path)
    assert found.columns == NAMES
    assert found.data == [
        ["a", 10.0, 0.0, 30.0, 0.0],
        ["b", 1.5, 2.5, 3.5, 4.5],
        ["All the projects", 11.5, 2.5, 33.5, 4.5],
    ]
    assert found.written == []


@pytest.mark.parametrize(
    ("args", "named"),
    [((), {"kwh_price": 2}), ((2.0,), {}), ((2, None), {}), ((False, 2), {}), ((None, 2), {})],
    ids=["by name", "first", "first, no file", "second", "second, no file"],
)
def test_a_price_adds_a_column(pandas: Any, path: Path, args: tuple[Any, ...], named: dict[str, Any]) -> None:
    found = summary(path, *args, **named)
    assert found.columns == [*NAMES, "total electricity price"]
    assert [row[-1] for row in found.data] == [0.0, 5.0, 5.0]


@pytest.mark.parametrize("args", [("out.csv",), (None, "out.csv"), (2, "out.csv"), ("out.csv", 2), (Path("out.csv"),)])
def test_the_sums_are_written_where_a_name_is_given(pandas: Any, path: Path, args: tuple[Any, ...]) -> None:
    assert summary(str(path), *args).written == ["out.csv"]


def test_a_file_without_costs_has_none(pandas: Any, tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    form = Form(COLUMNS[:-1])
    path.write_bytes(form.header() + form.row({**dict.fromkeys(COLUMNS, "x"), **dict.fromkeys(NUMBERS, 1.0)}))
    assert summary(path).data[-1] == ["All the projects", 1.0, 1.0, 1.0, 0.0]


def test_wrong_arguments_are_refused(pandas: Any, path: Path) -> None:
    with pytest.raises(FileDoesNotExistsError, match=r"^filename='nowhere\.csv' is not there"):
        summary("nowhere.csv")
    with pytest.raises(NotNeededExtensionError, match=r"^filename=.* ends in '\.csv'"):
        summary(path.rename(path.with_suffix(".txt")))
    with pytest.raises(SettingsError, match=r"^kwh_price=-1 \(from argument\)"):
        summary("a.csv", kwh_price=-1)
    with pytest.raises(SettingsError, match=r"^write_to_file=True \(from argument\)"):
        summary("a.csv", write_to_file=True)


@pytest.mark.usefixtures("no_pandas")
def test_without_pandas_it_is_said(path: Path) -> None:
    with pytest.raises(ImportError, match=r'^summary .* pandas: pip install "eco2ai_callbacks\[eco2ai\]"$'):
        summary(path)
