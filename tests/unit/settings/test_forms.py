"""The form of each setting: what is accepted, what becomes of it, and what is refused."""

from __future__ import annotations

import doctest
import math
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.errors import Eco2AIError, SettingsError
from eco2ai_callbacks.settings import NAMES, Settings, accepted, forms, resolve

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
    "prometheus_file": [("a.prom", Path("a.prom")), (None, None)],
    "otel": [(True, True), (False, False)],
    "console": [(True, True), (False, False)],
    "scalars": [("basic", "basic"), ("all", "all")],
    "units": [("kWh", "kWh"), ("Wh", "Wh")],
    "prog_bar": [(True, True), (False, False)],
    "region": [("FR", "FR"), ("US-CA", "US-CA"), (None, None)],
    "g_per_kwh": [(0, 0.0), (12.5, 12.5), (5000, 5000.0), (Fraction(1, 2), 0.5), (None, None)],
    "intensity": [("hours.csv", Path("hours.csv")), ("live:x", "live:x"), (len, len), (None, None)],
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
    "every_n_steps": [(0, 0), (50, 50)],
    "forecast_after": [(0, 0), (5, 5)],
    "max_energy_kwh": [(0.001, 0.001), (None, None)],
    "max_co2_kg": [(2, 2.0), (None, None)],
    "sync_gpu": [(True, True), (False, False)],
    "run_id": [("0123456789abcdef", "0123456789abcdef"), ("my-run_2", "my-run_2"), (None, None)],
    "wue": [(0, 0.0), (1.8, 1.8), ("provider", "provider"), (None, None)],
    "water_intensity": [(0, 0.0), (3, 3.0), (None, None)],
    "embodied_kg": [(0, 0.0), (1200, 1200.0), (None, None)],
    "lifetime_h": [(0.5, 0.5), (35040, 35040.0)],
    "embodied_share": [(0.25, 0.25), (1, 1.0)],
    "market_intensity": [(0, 0.0), (5000, 5000.0), (None, None)],
    "market_label": [("wind contract", "wind contract"), (None, None)],
    "baseline_s": [(0, 0.0), (1, 1.0), (600, 600.0)],
    "sci_unit": [("run", "run"), ("epoch", "epoch"), ("sample", "sample"), ("token", "token"), (None, None)],
}
NUMBERS = ["1", b"1", True, math.nan, math.inf, -1, [1], {}, 10**400, TwoNumbers(), 1j]
REFUSED: dict[str, list[Any]] = {
    "project": ["", "  ", None, 3],
    "description": [None, 3],
    "log_file": ["", " ", 3, True, b"a", "a\0b", "~nobody-of-this-name/a"],
    "csv_file": ["", 3],
    "prometheus_file": ["", 3],
    "otel": ["yes", 1, None],
    "console": ["yes", 1, None],
    "scalars": ["some", None, True],
    "units": ["wh", "J", "", None],
    "prog_bar": ["yes", None],
    "region": ["", " ", 3],
    "g_per_kwh": [*NUMBERS, 5001],
    "intensity": ["", " ", 3, "a\nb", "live:a\nb"],
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
    "every_n_steps": [-1, 1.0, True, None],
    "forecast_after": [-1, 1.0, True, None],
    "max_energy_kwh": [*NUMBERS, 0],
    "max_co2_kg": [*NUMBERS, 0],
    "sync_gpu": [0, None],
    "run_id": ["", "a b", "a" * 65, "a\n", 3],
    "wue": [*NUMBERS, 101, "google"],
    "water_intensity": [*NUMBERS, 1001],
    "embodied_kg": NUMBERS,
    "lifetime_h": [*NUMBERS, 0, None],
    "embodied_share": [*NUMBERS, 0, 1.01, None],
    "market_intensity": [*NUMBERS, 5001],
    "market_label": ["", " ", 3, "a\nb"],
    "baseline_s": [*NUMBERS, 0.5, 601, False, None],
    "sci_unit": ["step", 1, ""],
}
# What stands in a variable, and what it means.
VARIABLES: dict[str, list[tuple[str, Any]]] = {
    "project": [("demo", "demo"), ("none", "none")],
    "description": [("none", "none")],
    "log_file": [("a.jsonl", Path("a.jsonl")), ("none", None), (" NONE ", None)],
    "csv_file": [("none", None)],
    "prometheus_file": [("a.prom", Path("a.prom")), ("none", None)],
    "otel": [("1", True), ("off", False)],
    "console": [("0", False), ("no", False), ("Off", False), ("FALSE", False), ("1", True), ("on", True)],
    "scalars": [("all", "all")],
    "units": [("Wh", "Wh")],
    "prog_bar": [("yes", True)],
    "region": [("FR", "FR"), ("none", None), ("NO", "NO")],
    "g_per_kwh": [("12.5", 12.5), ("none", None)],
    "intensity": [("hours.parquet", Path("hours.parquet")), ("none", None)],
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
    "every_n_steps": [("50", 50)],
    "forecast_after": [("0", 0)],
    "max_energy_kwh": [("1e-3", 1e-3), ("none", None)],
    "max_co2_kg": [("none", None)],
    "sync_gpu": [("false", False)],
    "run_id": [("abc", "abc"), ("none", None)],
    "wue": [("1.8", 1.8), ("provider", "provider"), ("none", None)],
    "water_intensity": [("3", 3.0), ("none", None)],
    "embodied_kg": [("1200", 1200.0), ("none", None)],
    "lifetime_h": [("8760", 8760.0)],
    "embodied_share": [("0.5", 0.5)],
    "market_intensity": [("0", 0.0), ("none", None)],
    "market_label": [("wind", "wind"), ("none", None)],
    "baseline_s": [("0", 0.0), ("5", 5.0)],
    "sci_unit": [("token", "token"), ("none", None)],
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


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(forms).failed == 0


def test_every_setting_is_tried_here():
    assert tuple(ACCEPTED) == tuple(REFUSED) == tuple(VARIABLES) == NAMES


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
        assert sentence.startswith(f"{name}={value!r:.200} (from argument) is not accepted; accepted: ")
        assert sentence.endswith(".")
        assert refused.value.__suppress_context__

    def test_a_refused_setting_is_a_value_error_and_one_of_ours(self):
        with pytest.raises(ValueError, match="pue=0") as refused:
            settings({"pue": 0})
        assert isinstance(refused.value, Eco2AIError)
        assert (
            str(refused.value)
            == "pue=0 (from argument) is not accepted; accepted: a number from 1 to 10, or 'provider'."
        )

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


class TestControlCharacters:
    """A text with one could end a line of a file that it is written to, or steer a terminal."""

    @pytest.mark.parametrize("character", ["\0", "\n", "\r", "\t", "\x1b", "\x1f", "\x7f", "\x85", "\u2028", "\u2029"])
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("project", "a{}b"),
            ("description", "a{}b"),
            ("description", "{}"),
            ("log_file", "a{}b"),
            ("csv_file", "~/a{}"),
            ("powercap_root", "/a{}b"),
            ("region", "FR{}FR"),
            ("run_id", "a{}"),
            ("gpus", "GPU-{}"),
        ],
    )
    def test_they_are_refused(self, name: str, text: str, character: str):
        value = text.format(character)
        with pytest.raises(SettingsError) as refused:
            settings({name: value})
        sentence = str(refused.value)
        assert sentence.startswith(f"{name}={value!r} (from argument) is not accepted; accepted: {accepted(name)}")
        assert sentence.isprintable()

    def test_the_sentence_says_so(self):
        with pytest.raises(SettingsError) as refused:
            settings(environ={"ECO2AI_PROJECT": "a\nb"})
        assert str(refused.value) == (
            "project='a\\nb' (from ECO2AI_PROJECT) is not accepted; accepted: a text that is not empty; "
            "line breaks and other control characters are not."
        )

    def test_in_the_hours_of_a_price_too(self):
        with pytest.raises(SettingsError, match="line breaks and other control characters are not"):
            settings({"price": {"8:00-20:00\n": 1.0}})

    def test_in_a_path_that_is_no_text_too(self):
        with pytest.raises(SettingsError, match="line breaks and other control characters are not"):
            settings({"csv_file": PurePosixPath("/a\nb")})

    def test_other_alphabets_are_not_refused(self):
        text = "Проект «Ѐ», naïve \xa0 \x9f 試験"
        assert settings({"project": text, "log_file": text}).project == text


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
        assert str(refused.value).startswith(
            f"{name}={text!r:.200} (from ECO2AI_{name.upper()}) is not accepted; accepted: "
        )
