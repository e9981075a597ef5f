"""The arguments of eco2AI's tracker as settings."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.carbon.intensity import lookup
from eco2ai_callbacks.eco2ai_compat.arguments import Arguments, checked
from eco2ai_callbacks.eco2ai_compat.errors import NoCountryCodeError
from eco2ai_callbacks.eco2ai_compat.params import set_params
from eco2ai_callbacks.eco2ai_compat.tracker import Tracker
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.testing import CLOUD_VM

DEFAULTS = {
    name: each.default
    for name, each in inspect.signature(Tracker).parameters.items()
    if name not in ("log_file", "platform")
}


def given(**arguments: Any) -> Arguments:
    return checked({**DEFAULTS, **arguments})


def test_each_argument_becomes_a_setting() -> None:
    settings = given(
        project_name="demo",
        experiment_description="a CNN",
        measure_period=5,
        emission_level=100,
        alpha_2_code="FR",
        cpu_processes="all",
        pue=1.5,
        electricity_pricing={"0:00-24:00": 0.2},
    ).settings
    assert (settings.project, settings.description, settings.heartbeat_s) == ("demo", "a CNN", 5.0)
    assert (settings.g_per_kwh, settings.region, settings.scope, settings.pue) == (100.0, "FR", "machine", 1.5)
    assert (settings.price, settings.console) == ({"0:00-24:00": 0.2}, False)


def test_a_period_below_what_heartbeats_accept_is_the_shortest() -> None:
    found = given(measure_period=0.001)
    assert (found.settings.heartbeat_s, found.saved["measure_period"]) == (0.1, 0.001)


def test_what_is_none_was_saved() -> None:
    set_params(project_name="mine", experiment_description="d", file_name="mine.csv", measure_period=7, pue=2)
    found = given(measure_period=None, pue=None)
    assert found.saved == {
        "project_name": "mine",
        "experiment_description": "d",
        "file_name": "mine.csv",
        "measure_period": 7,
        "pue": 2,
    }
    assert given().saved["measure_period"] == 10  # eco2AI's own default comes first


@pytest.mark.parametrize(
    ("environ", "argument", "log_file"),
    [
        ({}, {}, Path("out/emission.jsonl")),
        ({"ECO2AI_LOG_FILE": "mine.jsonl"}, {}, Path("mine.jsonl")),
        ({"ECO2AI_LOG_FILE": "none"}, {}, None),
        ({"ECO2AI_LOG_FILE": "mine.jsonl"}, {"log_file": None}, None),
        ({}, {"log_file": "other.jsonl"}, Path("other.jsonl")),
    ],
    ids=["beside", "variable", "off by variable", "off", "argument"],
)
def test_the_run_log_is_beside_the_csv_unless_a_setting_says_where(
    environ: dict[str, str], argument: dict[str, Any], log_file: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert checked({**DEFAULTS, "file_name": "out/emission.csv"}, **argument).settings.log_file == log_file


def test_what_eco2ai_has_no_argument_for_comes_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECO2AI_REGION", "PL")
    monkeypatch.setenv("ECO2AI_CPU_TDP_W", "65")
    assert (given().settings.region, given().settings.cpu_tdp_w) == ("PL", 65.0)
    assert given(alpha_2_code="FR").settings.region == "FR"


@pytest.mark.parametrize(
    ("arguments", "region", "cell"),
    [
        ({"alpha_2_code": "FR"}, "FR", "FR"),
        ({"alpha_2_code": " fr"}, "FR", "FR"),
        ({"alpha_2_code": "US", "region": "California"}, "US-CA", "US/California"),
        ({"alpha_2_code": "RU", "region": "Moscow"}, "RU-MOW", "RU/Moscow"),
        ({"alpha_2_code": "FR", "emission_level": 10}, "FR", "(FR)"),
        ({"alpha_2_code": "US", "region": "CA", "emission_level": 10}, "US-CA", "(US/CA)"),
        ({}, None, None),
    ],
    ids=["country", "small letters", "part", "eco2AI's name", "own figure", "own figure of a part", "not given"],
)
def test_a_place_is_found_by_eco2ais_names(arguments: dict[str, Any], region: str | None, cell: str | None) -> None:
    found = given(**arguments)
    assert (found.settings.region, found.place) == (region, cell)


@pytest.mark.parametrize("quiet", [False, True], ids=["said", "not said"])
def test_a_part_that_is_in_no_table_has_the_countrys_figure(quiet: bool, caplog: pytest.LogCaptureFixture) -> None:
    found = given(alpha_2_code="US", region="Atlantis", ignore_warnings=quiet)
    assert (found.settings.region, found.place) == ("US", "US/Atlantis")
    assert ("the figure of United States is used" in caplog.text) is not quiet


def test_a_place_that_is_wrong_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^alpha_2_code='ZZ' \(from argument\) .* nearest are .*\.$"):
        given(alpha_2_code="ZZ")
    with pytest.raises(NoCountryCodeError, match=r"^region='California' .* needs its country: set alpha_2_code"):
        given(region="California")


def test_the_emission_level_is_that_of_the_place_or_the_given_one() -> None:
    assert given(alpha_2_code="FR").emission_level(Platform(environ={})) == lookup("FR").g_per_kwh
    assert given(emission_level=123).emission_level(Platform(environ={})) == 123.0


def test_files_are_opened_in_the_folder_of_the_start(
    fernet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = given(file_name="a.csv", encode_file=True)
    folder = tmp_path / "later"
    folder.mkdir()
    monkeypatch.chdir(folder)
    csv, encoded = (open_sink(arguments.settings, CLOUD_VM) for open_sink in arguments.sinks(training=False))
    assert csv is not None
    assert encoded is not None
    assert (csv.name, encoded.name) == ("CSV file", "encoded CSV file")
    assert len(given().sinks(training=True)) == 1
