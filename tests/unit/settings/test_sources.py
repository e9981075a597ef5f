"""The sources of the settings: which wins, and how each is spelled."""

from __future__ import annotations

import doctest
import os
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.settings import NAMES, Settings, resolve, spelled, stray_variables
from eco2ai_callbacks.settings import sources as module


def settings(args: dict[str, Any] | None = None, **sources: Any) -> Settings:
    return resolve(args, **{"environ": {}, "site_files": ()} | sources)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(module).failed == 0


class TestVariables:
    def test_those_of_the_process_are_the_default(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("ECO2AI_PROJECT", "from outside")
        assert resolve().project == "from outside"

    def test_a_command_line_spells_values_like_them(self):
        found = settings({"price": spelled('{"8:00-20:00": 1}'), "gpus": spelled("0,1"), "region": spelled("none")})
        assert (found.price, found.gpus, found.region) == ({"8:00-20:00": 1.0}, (0, 1), None)
        with pytest.raises(SettingsError, match=r"pue='much' \(from argument\) is not accepted"):
            settings({"pue": spelled("much")})

    def test_ones_that_name_no_setting_can_be_listed(self):
        environ = {"ECO2AI_REGOIN": "FR", "ECO2AI_REGION": "FR", "ECO2AI_LOG_KEY": "k", "ECO2AI_AUTO": "1", "HOME": "/"}
        assert stray_variables(environ) == ["ECO2AI_REGOIN"]
        assert stray_variables({"eco2ai_region": "FR", "ECO2AI_Pue": "1", "ECO2": "", "ECO2AIX": ""}) == [
            "ECO2AI_Pue",
            "eco2ai_region",
        ]

    @pytest.mark.parametrize(
        ("variable", "hint"),
        [
            ("ECO2AI_REGOIN", "; did you mean ECO2AI_REGION?"),
            ("ECO2AI_Region", "; did you mean ECO2AI_REGION?"),
            ("eco2ai_csv_file", "; did you mean ECO2AI_CSV_FILE?"),
            ("ECO2AI_LOGKEY", "; did you mean ECO2AI_LOG_KEY?"),
            ("ECO2AI_MAX_ENERGY_KWHS", "; did you mean ECO2AI_MAX_ENERGY_KWH?"),
            ("ECO2AI_ZZZZZZZZZZZZZZZZZZ", ""),
        ],
    )
    def test_one_that_names_no_setting_is_named_once(
        self, variable: str, hint: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ):
        monkeypatch.setattr(module, "_named", set())
        for _ in range(3):
            assert settings(environ={variable: "FR"}).region is None
        assert caplog.messages == [f"the variable {variable} is no setting, and is ignored{hint}"]

    def test_those_that_are_known_are_not_named(self, caplog: pytest.LogCaptureFixture):
        settings(environ={"ECO2AI_REGION": "FR", "ECO2AI_LOG_KEY": "k", "ECO2AI_AUTO": "1", "HOME": "/"})
        assert caplog.messages == []

    def test_a_log_handler_that_fails_costs_no_settings(self, monkeypatch: pytest.MonkeyPatch):
        def fail(*args: object) -> None:
            raise RuntimeError

        monkeypatch.setattr(module, "_named", set())
        monkeypatch.setattr(module.logger, "warning", fail)
        assert settings(environ={"ECO2AI_REGOIN": "FR"}).region is None


class TestPositions:
    @pytest.mark.parametrize(
        "value", ["demo", "", {"project": "demo"}, 3, ["a"]], ids=["text", "empty", "mapping", "number", "list"]
    )
    def test_a_setting_without_a_name_is_refused_in_one_sentence(self, value: object):
        with pytest.raises(
            SettingsError, match=r"^Tracker takes settings by name, such as Tracker\(project='demo'\); it"
        ):
            module.resolved("Tracker", value, {})

    def test_resolved_settings_are_taken_as_they_are(self):
        before = settings({"project": "demo"})
        assert module.resolved("Tracker", before, {}) is before
        assert module.resolved("Tracker", None, {"project": "demo"}).project == "demo"


class TestSources:
    @pytest.fixture
    def pyproject(self, tmp_path: Path) -> Path:
        file = tmp_path / "pyproject.toml"
        file.write_text('[tool.eco2ai]\nproject = "pyproject"\nregion = "FR"\npue = 1.3\nheartbeat-s = 5\n')
        return file

    @pytest.fixture
    def site(self, tmp_path: Path) -> Path:
        file = tmp_path / "site.toml"
        file.write_text(
            'project = "site"\nregion = "DE"\npue = 1.4\nsample_s = 2\nscope = "machine"\n'
            '[cluster.alpha]\nregion = "US-CA"\nscope = "process"\n[cluster.beta]\nregion = "none"\n'
        )
        return file

    def test_each_wins_over_the_next_and_is_named(self, tmp_path: Path, pyproject: Path, site: Path):
        found = settings(
            {"project": "argument"},
            environ={"ECO2AI_PROJECT": "variable", "ECO2AI_REGION": "variable"},
            folder=tmp_path,
            site_files=[site],
        )
        assert (found.project, found.region, found.pue, found.sample_s) == ("argument", "variable", 1.3, 2.0)
        assert found.origin == dict.fromkeys(NAMES, "default") | {
            "project": "argument",
            "region": "ECO2AI_REGION",
            "pue": str(pyproject),
            "heartbeat_s": str(pyproject),
            "sample_s": str(site),
            "scope": str(site),
        }

    def test_none_as_an_argument_wins_too(self, tmp_path: Path, pyproject: Path):
        assert settings({"region": None}, folder=tmp_path).region is None

    def test_a_value_that_loses_is_not_looked_at(self):
        assert settings({"pue": 2}, environ={"ECO2AI_PUE": "much"}).pue == 2.0

    def test_the_nearest_pyproject_is_the_one(self, tmp_path: Path, pyproject: Path):
        inner = tmp_path / "a" / "b"
        inner.mkdir(parents=True)
        assert settings(folder=inner).project == "pyproject"
        (tmp_path / "a" / "pyproject.toml").write_text('[project]\nname = "x"\n')
        assert settings(folder=inner).project == "default"

    def test_the_search_begins_in_the_working_folder(self, pyproject: Path):
        assert settings().project == "pyproject"

    def test_a_cluster_has_its_table_in_the_site_file(self, site: Path):
        found = settings(environ={"SLURM_CLUSTER_NAME": "alpha"}, site_files=[site])
        assert (found.region, found.scope, found.project) == ("US-CA", "process", "site")
        assert found.origin["region"] == f"{site} [cluster.alpha]"
        assert found.origin["project"] == str(site)
        assert settings(environ={"SLURM_CLUSTER_NAME": "beta"}, site_files=[site]).region is None
        assert settings(environ={"SLURM_CLUSTER_NAME": "gamma"}, site_files=[site]).region == "DE"

    def test_the_first_site_file_that_is_there_is_the_one(self, tmp_path: Path, site: Path):
        other = tmp_path / "other.toml"
        other.write_text('description = "other"\n')
        found = settings(site_files=[tmp_path / "missing.toml", site, other])
        assert (found.project, found.description) == ("site", "")
        assert settings(site_files=[tmp_path / "missing.toml"]) == Settings()

    def test_the_users_site_file_comes_first(self, tmp_path: Path):
        file = tmp_path / ".config/eco2ai/site.toml"
        file.parent.mkdir(parents=True)
        file.write_text('project = "of the user"\n')
        assert resolve(environ={}).project == "of the user"

    def test_a_user_without_a_home_has_settings_too(self, monkeypatch: pytest.MonkeyPatch):
        def homeless() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", homeless)
        assert resolve(environ={}) == Settings()

    def test_a_working_folder_that_is_gone_has_no_pyproject(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        assert settings({"project": "x"}).project == "x"
        os.chdir(tmp_path)

    @pytest.mark.parametrize(
        ("text", "name", "value"),
        [
            ('log_file = "none"', "log_file", None),
            ('gpus = "none"', "gpus", ()),
            ("gpus = [0, 1]", "gpus", (0, 1)),
            ('project = "none"', "project", "none"),
            ("console = false", "console", False),
            ('[price]\n"8:00-20:00" = 0.2', "price", {"8:00-20:00": 0.2}),
        ],
    )
    def test_toml_says_what_python_says_and_none(self, tmp_path: Path, text: str, name: str, value: Any):
        (tmp_path / "site.toml").write_text(text)
        assert getattr(settings(site_files=[tmp_path / "site.toml"]), name) == value


class TestUnknownNames:
    def test_the_nearest_are_proposed(self):
        with pytest.raises(SettingsError) as refused:
            settings({"regoin": "FR"})
        assert str(refused.value) == "'regoin' (from argument) is not a setting; did you mean region?"

    def test_where_none_is_near_all_are_named(self):
        with pytest.raises(SettingsError, match=r"the settings are project, description, .*, sci_unit\.$"):
            settings({"xyzzy": 1})

    @pytest.mark.parametrize("table", ["[tool.eco2ai]\nregoin = 'FR'", "tool.eco2ai.regoin = 'FR'"])
    def test_in_a_pyproject_they_are_refused_too(self, tmp_path: Path, table: str):
        (tmp_path / "pyproject.toml").write_text(table)
        with pytest.raises(SettingsError, match=r"'regoin' \(from .*pyproject.toml\) is not a setting"):
            settings(folder=tmp_path)


class TestBrokenFiles:
    def test_broken_toml_that_holds_settings_is_refused(self, tmp_path: Path):
        (tmp_path / "pyproject.toml").write_text("[tool.eco2ai]\nregion = FR\n")
        with pytest.raises(SettingsError, match=r"pyproject.toml is not valid TOML, so its eco2ai settings cannot"):
            settings(folder=tmp_path)

    def test_broken_toml_of_somebody_else_is_none_of_our_business(self, tmp_path: Path):
        (tmp_path / "pyproject.toml").write_text("[project\n")
        assert settings(folder=tmp_path) == Settings()

    @pytest.mark.parametrize("value", ["9" * 5000, "[" * 100_000])
    def test_what_the_parser_itself_cannot_take_is_broken(self, tmp_path: Path, value: str):
        (tmp_path / "pyproject.toml").write_text(f"x = {value}")
        assert settings(folder=tmp_path) == Settings()
        (tmp_path / "pyproject.toml").write_text(f"[tool.eco2ai]\nx = {value}")
        with pytest.raises(SettingsError, match=r"pyproject.toml is not valid TOML"):
            settings(folder=tmp_path)

    def test_a_broken_site_file_is_refused(self, tmp_path: Path):
        (tmp_path / "site.toml").write_text("region = FR\n")
        with pytest.raises(SettingsError, match=r"site\.toml is not valid TOML"):
            settings(site_files=[tmp_path / "site.toml"])

    @pytest.mark.parametrize(
        ("text", "where"),
        [
            ("cluster = 3", "[cluster]"),
            ("[cluster]\nalpha = 3", "[cluster.alpha]"),
        ],
    )
    def test_a_cluster_that_is_no_table_is_refused(self, tmp_path: Path, text: str, where: str):
        site = tmp_path / "site.toml"
        site.write_text(text)
        with pytest.raises(SettingsError) as refused:
            settings(environ={"SLURM_CLUSTER_NAME": "alpha"}, site_files=[site])
        assert str(refused.value) == f"{site} {where} must be a table of settings, not 3."

    def test_settings_that_are_no_table_are_refused(self, tmp_path: Path):
        (tmp_path / "pyproject.toml").write_text("tool.eco2ai = 3")
        with pytest.raises(SettingsError, match=r"\[tool.eco2ai\] must be a table of settings, not 3"):
            settings(folder=tmp_path)

    def test_tools_that_are_no_table_are_none(self, tmp_path: Path):
        (tmp_path / "pyproject.toml").write_text("tool = 3")
        assert settings(folder=tmp_path) == Settings()

    def test_a_folder_of_that_name_is_no_file(self, tmp_path: Path):
        (tmp_path / "pyproject.toml").mkdir()
        assert settings(folder=tmp_path) == Settings()
