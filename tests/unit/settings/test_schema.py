"""The schema of the settings: one field holds all that is known of a setting."""

from __future__ import annotations

import copy
import dataclasses
import doctest
import inspect
import pickle
import typing
from pathlib import Path
from typing import Any

import click
import pytest

from eco2ai_callbacks.cli.run import run
from eco2ai_callbacks.settings import COMMAND_NAMES, NAMES, Settings, SettingsArgs, accepted, describe, resolve
from eco2ai_callbacks.settings import schema as module
from eco2ai_callbacks.settings.beside import BesideSettings

REPOSITORY = Path(__file__).parents[3]


def settings(args: dict[str, Any] | None = None, **sources: Any) -> Settings:
    return resolve(args, **{"environ": {}, "site_files": ()} | sources)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(module).failed == 0


class TestNames:
    def test_every_setting_is_a_keyword_for_editors(self):
        assert tuple(typing.get_type_hints(SettingsArgs)) == NAMES
        assert SettingsArgs.__required_keys__ == frozenset()

    def test_every_setting_is_described(self):
        documented = inspect.getdoc(Settings) or ""
        assert [name for name in NAMES if f"\n    {name}: " not in documented] == []

    def test_defaults_are_accepted_as_arguments_too(self):
        default = Settings()
        assert settings({name: getattr(default, name) for name in NAMES}) == default == settings()

    def test_what_is_accepted_can_be_shown(self):
        assert accepted("scope") == "'process' or 'machine'"

    def test_every_meaning_is_one_sentence(self):
        for name in NAMES:
            assert describe(name)[0].isupper()
            assert describe(name).endswith(".")
            assert "\n" not in describe(name)

    def test_the_fields_are_the_settings_and_their_origin(self):
        names = tuple(field.name for field in dataclasses.fields(Settings))
        base = tuple(field.name for field in dataclasses.fields(BesideSettings))
        assert (*base, *NAMES[: -len(base)], "origin") == names
        assert NAMES[-len(base) :] == base


class TestCommand:
    def test_each_setting_that_a_command_has_is_an_option(self):
        options = {option.name: option for option in run.params if isinstance(option, click.Option)}
        assert tuple(options) == ("quiet", *COMMAND_NAMES)
        for name in COMMAND_NAMES:
            assert options[name].opts == [f"--{name.replace('_', '-')}"]
            assert options[name].help == f"{describe(name)} Accepted: {accepted(name)}."

    def test_those_about_epochs_are_none(self):
        others = {
            "console",
            "scalars",
            "units",
            "prog_bar",
            "every_n_steps",
            "forecast_after",
            "max_energy_kwh",
            "max_co2_kg",
            "sync_gpu",
        }
        assert set(NAMES) - set(COMMAND_NAMES) == others


class TestObject:
    def test_it_is_frozen(self):
        with pytest.raises(AttributeError):
            settings().project = "x"  # type: ignore[misc]

    @pytest.mark.parametrize("args", [{}, {"price": {"8:00-20:00": 0.2}, "gpus": [0], "log_file": None}])
    def test_it_pickles_and_copies_with_its_origins(self, args: dict[str, Any]):
        found = settings(args)
        for twin in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
            assert twin == found
            assert twin.origin == found.origin
            assert hash(twin) == hash(found)

    def test_equal_ones_hash_alike_wherever_they_came_from(self):
        one = settings({"price": {"0:00-8:00": 1, "8:00-0:00": 2}, "pue": 1.2})
        other = settings({"price": {"8:00-0:00": 2, "0:00-8:00": 1}}, environ={"ECO2AI_PUE": "1.2"})
        assert one == other
        assert len({one, other, settings()}) == 2
