"""The parameters that are kept for the next tracker."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.eco2ai_compat import params as module
from eco2ai_callbacks.eco2ai_compat.params import UNSAVED, get_params, save, set_params
from eco2ai_callbacks.errors import SettingsError


def saved() -> Path:
    return Path.home() / ".config/eco2ai/params.json"


def test_unsaved_they_are_eco2ais() -> None:
    assert get_params() == {
        "project_name": "Default project name",
        "experiment_description": "no experiment description",
        "file_name": "emission.csv",
        "measure_period": 10,
        "pue": 1,
    }
    assert not saved().exists()


def test_what_is_not_given_is_saved_as_eco2ai_saves_it() -> None:
    set_params(file_name="mine.csv", pue=None)
    assert get_params() == {
        "project_name": "default project name",
        "experiment_description": "default experiment description",
        "file_name": "mine.csv",
        "measure_period": 10,
        "pue": 1,
    }


def test_the_file_is_the_users_alone_and_nothing_is_left_beside_it() -> None:
    set_params(project_name="mine")
    assert saved().stat().st_mode & 0o777 == 0o600
    assert list(saved().parent.iterdir()) == [saved()]


def test_the_same_parameters_are_not_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    set_params(project_name="mine")
    monkeypatch.setattr(Path, "replace", pytest.fail)
    save(get_params())


def test_a_wrong_value_is_refused_and_nothing_is_saved() -> None:
    with pytest.raises(SettingsError, match=r"^pue=0 "):
        set_params(project_name="mine", pue=0)
    assert not saved().exists()


def test_others_are_ignored_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    set_params(emission_level=3, project="mine")
    assert caplog.messages == [
        "set_params ignores emission_level, project; it saves project_name, experiment_description, file_name, "
        "measure_period, pue"
    ]
    assert set(json.loads(saved().read_text())) == set(UNSAVED)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"pue": 0}', "[" * 100_000, '{"file_name": "/etc/passwd"}'],
    ids=["empty", "torn", "a list", "a wrong value", "too deep", "no CSV"],
)
def test_a_file_that_holds_no_parameters_is_passed_over_by_its_name(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    saved().parent.mkdir(parents=True)
    saved().write_text(text)
    assert get_params() == UNSAVED
    assert len(caplog.messages) == 1
    assert str(saved()) in caplog.text
    save({**UNSAVED, "project_name": "mine"})
    assert get_params()["project_name"] == "mine"


def test_a_parameter_that_a_file_lacks_is_eco2ais() -> None:
    saved().parent.mkdir(parents=True)
    saved().write_text('{"project_name": "mine", "later": 1}')
    assert get_params() == {**UNSAVED, "project_name": "mine"}


def test_a_file_that_others_may_have_written_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    set_params(file_name="mine.csv")
    saved().chmod(0o666)
    assert get_params() == UNSAVED
    assert "params.json" in caplog.text


def test_where_nothing_can_be_saved_it_is_said_and_the_program_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def replace(*_: Any) -> None:
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(Path, "replace", replace)
    set_params(project_name="mine")
    assert "the parameters are not saved for later trackers: [Errno 30]" in caplog.text
    assert list(saved().parent.iterdir()) == []


def test_without_a_home_nothing_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "home_folder", lambda: None)
    set_params(project_name="mine")
    assert get_params() == UNSAVED
