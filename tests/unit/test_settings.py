from __future__ import annotations

import copy
import inspect
import math
import os
import pickle
import typing
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.errors import Eco2AIError, SettingsError
from eco2ai_callbacks.settings import NAMES, Settings, SettingsArgs, accepted, resolve, spelled, stray_variables

GPU = "GPU-6f1c2a3e-0000-0000-0000-000000000000"
MIG = "MIG-6f1c2a3e-0000-0000-0000-000000000000"


class Index:
    """As NumPy's integers: no int, but one by its nature."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class TwoNumbers:
    """As a tensor of two elements."""

    def __float__(self) -> float:
        raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")


# Each setting: what is accepted, with what becomes of it, and what is refused.
ACCEPTED: dict[str, list[tuple[Any, Any]]] = {
    "project": [("demo", "demo"), ("none", "none"), ("Проект", "Проект")],
    "description": [("", ""), ("two words", "two words")],
    "log_file": [("a.jsonl", Path("a.jsonl")), (PurePosixPath("/x/a"), Path("/x/a")), (None, None)],
    "csv_file": [("a.csv", Path("a.csv")), (None, None)],
    "console": [(True, True), (False, False)],
    "scalars": [("basic", "basic"), ("all", "all")],
    "prog_bar": [(True, True), (False, False)],
    "region": [("FR", "FR"), ("US-CA", "US-CA"), (None, None)],
    "g_per_kwh": [(0, 0.0), (12.5, 12.5), (5000, 5000.0), (Fraction(1, 2), 0.5), (None, None)],
    "intensity_kind": [("best", "best"), ("lifecycle", "lifecycle"), ("direct", "direct")],
    "intensity_year": [(1990, 1990), (2100, 2100), (Index(2024), 2024), (None, None)],
    "pue": [(1, 1.0), (1.2, 1.2), (10, 10.0), ("provider", "provider")],
    "price": [(0, 0.0), (0.2, 0.2), ({"8:00-20:00": 1}, {"8:00-20:00": 1.0}), (None, None)],
    "scope": [("process", "process"), ("machine", "machine")],
    "gpus": [
        ("auto", "auto"),
        ("visible", "visible"),
        ("all", "all"),
        ("none", ()),
        ((), ()),
        ([0, 2], (0, 2)),
        (1, (1,)),
        (GPU, (GPU,)),
        ([GPU, MIG], (GPU, MIG)),
        ([Index(3)], (3,)),
    ],
    "cpu_model": [("auto", "auto"), ("paper", "paper")],
    "cpu_tdp_w": [(65, 65.0), (0.5, 0.5), (None, None)],
    "cpu_threads": [(1, 1), (128, 128), (None, None)],
    "ram_w_per_gib": [(0, 0.0), (0.375, 0.375)],
    "powercap_root": [("/host/powercap", Path("/host/powercap"))],
    "sample_s": [(0.01, 0.01), (60, 60.0)],
    "heartbeat_s": [(0, 0.0), (0.1, 0.1), (3600, 3600.0)],
    "forecast_after": [(0, 0), (5, 5)],
    "max_energy_kwh": [(0.001, 0.001), (None, None)],
    "max_co2_kg": [(2, 2.0), (None, None)],
    "sync_gpu": [(True, True), (False, False)],
    "run_id": [("0123456789abcdef", "0123456789abcdef"), ("my-run_2", "my-run_2"), (None, None)],
}
NUMBERS = ["1", b"1", True, math.nan, math.inf, -1, [1], {}, 10**400, TwoNumbers(), 1j]
REFUSED: dict[str, list[Any]] = {
    "project": ["", "  ", None, 3],
    "description": [None, 3],
    "log_file": ["", " ", 3, True, b"a", "a\0b", "~nobody-of-this-name/a"],
    "csv_file": ["", 3],
    "console": ["yes", 1, None],
    "scalars": ["some", None, True],
    "prog_bar": ["yes", None],
    "region": ["", " ", 3],
    "g_per_kwh": [*NUMBERS, 5001],
    "intensity_kind": ["worst", None],
    "intensity_year": [1989, 2101, 2020.0, "2020", True],
    "pue": [*NUMBERS, 0.99, 11, "google", None],
    "price": [*NUMBERS, "0.2", {"": 1.0}, {"8:00-20:00": -1}, {8: 0.2}],
    "scope": ["job", None],
    "gpus": ["some", "", "0", True, [True], [-1], ["a"], None, 1.5, [0.0]],
    "cpu_model": ["tdp", None],
    "cpu_tdp_w": [*NUMBERS, 0],
    "cpu_threads": [0, 1.5, "4", True],
    "ram_w_per_gib": [*NUMBERS, None],
    "powercap_root": ["", None],
    "sample_s": [*NUMBERS, 0.001, 61, None],
    "heartbeat_s": [*NUMBERS, 0.05, False, None],
    "forecast_after": [-1, 1.0, True, None],
    "max_energy_kwh": [*NUMBERS, 0],
    "max_co2_kg": [*NUMBERS, 0],
    "sync_gpu": [0, None],
    "run_id": ["", "a b", "a" * 65, "a\n", 3],
}
# What stands in a variable, and what it means.
VARIABLES: dict[str, list[tuple[str, Any]]] = {
    "project": [("demo", "demo"), ("none", "none")],
    "description": [("none", "none")],
    "log_file": [("a.jsonl", Path("a.jsonl")), ("none", None), (" NONE ", None)],
    "csv_file": [("none", None)],
    "console": [("0", False), ("no", False), ("Off", False), ("FALSE", False), ("1", True), ("on", True)],
    "scalars": [("all", "all")],
    "prog_bar": [("yes", True)],
    "region": [("FR", "FR"), ("none", None), ("NO", "NO")],
    "g_per_kwh": [("12.5", 12.5), ("none", None)],
    "intensity_kind": [("direct", "direct")],
    "intensity_year": [("2024", 2024), ("none", None)],
    "pue": [("1.2", 1.2), ("provider", "provider")],
    "price": [("0.2", 0.2), ('{"8:00-20:00": 0.2, "20:00-8:00": 0.1}', {"8:00-20:00": 0.2, "20:00-8:00": 0.1})],
    "scope": [("machine", "machine")],
    "gpus": [
        ("auto", "auto"),
        ("ALL", "all"),
        ("none", ()),
        ("", ()),
        ("()", ()),
        ("0", (0,)),
        ("0, 2", (0, 2)),
        (f"[{GPU},{MIG}]", (GPU, MIG)),
    ],
    "cpu_model": [("paper", "paper")],
    "cpu_tdp_w": [("65", 65.0), ("none", None)],
    "cpu_threads": [("8", 8), ("none", None)],
    "ram_w_per_gib": [("0", 0.0)],
    "powercap_root": [("/x", Path("/x"))],
    "sample_s": [("2", 2.0)],
    "heartbeat_s": [("0", 0.0), ("30", 30.0)],
    "forecast_after": [("0", 0)],
    "max_energy_kwh": [("1e-3", 1e-3), ("none", None)],
    "max_co2_kg": [("none", None)],
    "sync_gpu": [("false", False)],
    "run_id": [("abc", "abc"), ("none", None)],
}
BAD_VARIABLES = [
    ("console", "perhaps"),
    ("console", "none"),
    ("g_per_kwh", "much"),
    ("g_per_kwh", "nan"),
    ("intensity_year", "2020.5"),
    ("cpu_threads", "9" * 5000),
    ("price", "{8: 1}"),
    ("price", "true"),
    ("gpus", "first"),
    ("heartbeat_s", "none"),
    ("project", " "),
]


def pairs(table: dict[str, list[Any]]) -> list[Any]:
    return [(name, value) for name, values in table.items() for value in values]


def settings(args: dict[str, Any] | None = None, **sources: Any) -> Settings:
    return resolve(args, **{"environ": {}, "site_files": ()} | sources)


class TestNames:
    def test_every_setting_is_a_keyword_for_editors(self):
        assert tuple(typing.get_type_hints(SettingsArgs)) == NAMES
        assert SettingsArgs.__required_keys__ == frozenset()

    def test_every_setting_is_tried_here(self):
        assert tuple(ACCEPTED) == tuple(REFUSED) == tuple(VARIABLES) == NAMES

    def test_every_setting_is_described(self):
        documented = inspect.getdoc(Settings) or ""
        assert [name for name in NAMES if f"\n    {name}: " not in documented] == []

    def test_defaults_are_accepted_as_arguments_too(self):
        default = Settings()
        assert settings({name: getattr(default, name) for name in NAMES}) == default == settings()


class TestValues:
    @pytest.mark.parametrize(("name", "pair"), pairs(ACCEPTED))
    def test_accepted(self, name: str, pair: tuple[Any, Any]):
        given, meant = pair
        value = getattr(settings({name: given}), name)
        assert value == meant
        assert type(value) is type(meant)

    @pytest.mark.parametrize(("name", "value"), pairs(REFUSED))
    def test_refused_in_a_sentence_that_names_setting_value_and_what_is_accepted(self, name: str, value: Any):
        with pytest.raises(SettingsError) as refused:
            settings({name: value})
        sentence = str(refused.value)
        assert sentence.startswith(f"{name}={value!r:.200} (from argument) is not accepted: ")
        assert sentence.endswith(".")
        assert refused.value.__suppress_context__

    def test_a_refused_setting_is_a_value_error_and_one_of_ours(self):
        with pytest.raises(ValueError, match="pue=0") as refused:
            settings({"pue": 0})
        assert isinstance(refused.value, Eco2AIError)
        assert str(refused.value) == "pue=0 (from argument) is not accepted: a number from 1 to 10, or 'provider'."

    def test_a_tracker_refuses_them_at_construction(self):
        with pytest.raises(SettingsError, match="pue=0"):
            Tracker(pue=0)

    def test_the_home_folder_is_found(self, tmp_path: Path):
        assert settings({"log_file": "~/a.jsonl"}).log_file == tmp_path / "a.jsonl"

    def test_a_price_does_not_change_with_the_users_own(self):
        price = {"8:00-20:00": 0.2}
        found = settings({"price": price})
        price["8:00-20:00"] = 9.0
        assert found.price == {"8:00-20:00": 0.2}


class TestVariables:
    @pytest.mark.parametrize(("name", "pair"), pairs(VARIABLES))
    def test_each_is_spelt_as_text(self, name: str, pair: tuple[str, Any]):
        text, meant = pair
        found = settings(environ={f"ECO2AI_{name.upper()}": text})
        assert getattr(found, name) == meant
        assert found.origin[name] == f"ECO2AI_{name.upper()}"

    @pytest.mark.parametrize(("name", "text"), BAD_VARIABLES)
    def test_refused_in_a_sentence_that_names_the_variable(self, name: str, text: str):
        with pytest.raises(SettingsError) as refused:
            settings(environ={f"ECO2AI_{name.upper()}": text})
        assert str(refused.value).startswith(f"{name}={text!r:.200} (from ECO2AI_{name.upper()}) is not accepted: ")

    def test_those_of_the_process_are_the_default(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("ECO2AI_PROJECT", "from outside")
        assert resolve().project == "from outside"

    def test_a_command_line_spells_values_like_them(self):
        found = settings({"price": spelled('{"8:00-20:00": 1}'), "gpus": spelled("0,1"), "region": spelled("none")})
        assert (found.price, found.gpus, found.region) == ({"8:00-20:00": 1.0}, (0, 1), None)
        with pytest.raises(SettingsError, match=r"pue='much' \(from argument\) is not accepted"):
            settings({"pue": spelled("much")})

    def test_what_is_accepted_can_be_shown(self):
        assert accepted("scope") == "'process' or 'machine'"

    def test_ones_that_name_no_setting_can_be_listed(self):
        environ = {"ECO2AI_REGOIN": "FR", "ECO2AI_REGION": "FR", "ECO2AI_LOG_KEY": "k", "ECO2AI_AUTO": "1", "HOME": "/"}
        assert stray_variables(environ) == ["ECO2AI_REGOIN"]


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
        with pytest.raises(SettingsError, match=r"the settings are project, description, .*, run_id\.$"):
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
