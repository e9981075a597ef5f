"""Prometheus's text format."""

from __future__ import annotations

import math

import pytest

from eco2ai_callbacks.sinks.counters import FAMILIES, RunCounters
from eco2ai_callbacks.sinks.prometheus_text import as_text, name_of

parser = pytest.importorskip("prometheus_client.parser")


def counters(run: str = "a", joules: float = 7.2) -> RunCounters:
    return RunCounters({"run": run}, {"cpu": joules}, 2.0, None, None, 1.5, {"version": "0.1.0"})


def test_names_have_base_units_and_counters_end_in_total() -> None:
    assert [name_of(family) for family in FAMILIES] == [
        "eco2ai_energy_joules_total",
        "eco2ai_co2e_grams_total",
        "eco2ai_duration_seconds_total",
        "eco2ai_cost_total",
        "eco2ai_last_record_timestamp_seconds",
        "eco2ai_run_info",
    ]


def test_a_family_is_named_once_and_one_without_values_not_at_all() -> None:
    text = as_text([counters("a"), counters("b")])
    assert text.count("# TYPE eco2ai_energy_joules_total counter\n") == 1
    assert text.count("# HELP ") == text.count("# TYPE ") == 4
    assert "co2e" not in text
    assert text.endswith("\n")
    assert as_text([]) == ""


@pytest.mark.parametrize("run", ['a"b', "a\\nb", "a\nb", "a\\", 'a}b{c="d', "# HELP", "a,b=c", "ä 🔥"])
def test_a_label_holds_any_text(run: str) -> None:
    families = list(parser.text_string_to_metric_families(as_text([counters(run)])))
    assert {sample.labels["run"] for family in families for sample in family.samples} == {run}


@pytest.mark.parametrize("value", [0.0, 1e-300, 1.5e300, math.inf, -math.inf, math.nan, 3])
def test_any_number_is_read_back(value: float) -> None:
    (family, *_) = parser.text_string_to_metric_families(as_text([counters(joules=value)]))
    assert family.samples[0].value == pytest.approx(value, nan_ok=True)
