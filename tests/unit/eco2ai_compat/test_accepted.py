"""What each parameter of eco2AI's interface accepts."""

from __future__ import annotations

import re
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from eco2ai_callbacks.eco2ai_compat import accepted
from eco2ai_callbacks.eco2ai_compat.accepted import FORMS, check, epoch_number
from eco2ai_callbacks.eco2ai_compat.errors import IncorrectPricingDict, NotNeededExtensionError
from eco2ai_callbacks.errors import SettingsError

DAY = {"8:00-20:00": 0.2, "20:00-8:00": 0.1}
RIGHT = {
    "project_name": [("demo", "demo"), (7, "7")],
    "experiment_description": [("", ""), ("a CNN", "a CNN"), (0.5, "0.5")],
    "file_name": [("emission.csv", "emission.csv"), (Path("a/b.csv"), "a/b.csv")],
    "measure_period": [(10, 10), (0.5, 0.5)],
    "emission_level": [(0, 0.0), (436.529, 436.529), (None, None)],
    "alpha_2_code": [("FR", "FR"), (" fr ", " fr "), (None, None)],
    "region": [("California", "California"), (None, None)],
    "cpu_processes": [("current", "current"), ("all", "all")],
    "pue": [(1, 1), (1.58, 1.58)],
    "encode_file": [(True, True), ("a.csv", "a.csv"), (None, None), (False, None)],
    "electricity_pricing": [(DAY, DAY), (None, None)],
    "ignore_warnings": [(True, True), (False, False)],
    "timezone": [(False, None), (None, None), ("Europe/Paris", ZoneInfo("Europe/Paris")), (UTC, UTC)],
}
WRONG = {
    "project_name": ["", "a\nb", None, True, ["a"]],
    "experiment_description": ["a\0b", None, b"a"],
    "file_name": ["", "emission.txt", "emission.csv\n", 7],
    "measure_period": [0, -1, "10", float("nan"), True],
    "emission_level": [-1, 5001, "400", float("inf")],
    "alpha_2_code": ["", "FRA", "France", 33, "F1"],
    "region": ["", 7],
    "cpu_processes": ["mine", "", None, 1],
    "pue": [0.9, 11, "1.5", "provider"],
    "encode_file": ["a.txt", "", 1],
    "electricity_pricing": [0.2, {}, "8:00-20:00", {"8:00-20:00": 0.2}, {"0:00-24:00": -1}, {"8-20": 1}],
    "ignore_warnings": [None, 1, "yes"],
    "timezone": [True, "Mars/Olympus", "", 3, "../etc/passwd"],
}


def test_each_parameter_has_values_here() -> None:
    assert RIGHT.keys() == WRONG.keys() == FORMS.keys()


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_value_is_taken(name: str) -> None:
    for given, taken in RIGHT[name]:
        assert check(name, given) == taken
        assert type(check(name, given)) is type(taken)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_refused_in_one_sentence(name: str) -> None:
    values: list[Any] = WRONG[name]
    for value in values:
        with pytest.raises(SettingsError) as raised:
            check(name, value, "somewhere")
        said = str(raised.value)
        assert said.startswith(f"{name}={value!r} (from somewhere) is not accepted; accepted: {FORMS[name].accepted}")
        assert re.fullmatch(r"[^\n]+\.", said)


def test_errors_have_eco2ais_names() -> None:
    with pytest.raises(NotNeededExtensionError):
        check("file_name", "emission.txt")
    with pytest.raises(NotNeededExtensionError):
        check("encode_file", "emission.txt")
    with pytest.raises(IncorrectPricingDict, match=r"; no span covers 20:00\.$"):
        check("electricity_pricing", {"8:00-20:00": 0.2, "0:00-8:00": 0.2})
    with pytest.raises(IncorrectPricingDict, match=r"; two spans cover 18:00\.$"):
        check("electricity_pricing", {"8:30-20:00": 1, "18:00-3:00": 1, "3:00-8:30": 1})
    with pytest.raises(IncorrectPricingDict, match=r"; '8:00; 20:00' is no span like '8:00-20:00'\.$"):
        check("electricity_pricing", {"8:00; 20:00": 0.1})


def test_without_a_table_of_zones_every_name_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepted, "available_timezones", set)
    assert check("timezone", "Europe/Paris") is None


def test_the_number_of_an_epoch_is_whole() -> None:
    class Whole:
        def __index__(self) -> int:
            return 3

    assert [epoch_number(value, "epoch") for value in (0, 7, Whole())] == [0, 7, 3]
    for wrong in (1.5, "1", True, None):
        with pytest.raises(
            SettingsError, match=r"^start_epoch=.* \(from argument\) is not accepted; accepted: a whole number\.$"
        ):
            epoch_number(wrong, "start_epoch")
