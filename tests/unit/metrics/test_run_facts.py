"""What a logger's configuration holds of a run."""

from __future__ import annotations

from steady import steady

from eco2ai_callbacks.metrics.figures import JobFigures
from eco2ai_callbacks.metrics.run_facts import facts_of
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.testing import Clock
from eco2ai_callbacks.usage import Method

GRID = {
    **{"g_per_kwh": 400.0, "region": "DE", "name": "Germany", "dataset": "Ember", "year": 2025, "kind": "lifecycle"},
    **{"low": 360.0, "high": 440.0, "found_by": "time zone"},
}
METHODS = {
    "cpu": Method("cpu-model:vm", 0.5, 2.0, scope="job"),
    "gpu:a": Method("nvml-energy", 0.95, 1.05, counter=True, scope="device"),
    "gpu:b": Method("nvml-energy", 0.95, 1.05, counter=True, scope="device"),
}


def test_a_curve_can_be_understood_by_them() -> None:
    start = Record(run="r", writer="w", event="start", version="1", intensity=GRID, pue=1.2, not_covered=("TPU", "NPU"))
    assert facts_of(start, METHODS) == {
        "eco2ai/run": "r",
        "eco2ai/version": "1",
        "eco2ai/region": "DE (Germany, by time zone)",
        "eco2ai/intensity_g_per_kwh": 400.0,
        "eco2ai/intensity_source": "Ember (2025, lifecycle)",
        "eco2ai/intensity_band_g_per_kwh": "360 to 440",
        "eco2ai/pue": 1.2,
        "eco2ai/method": "cpu cpu-model:vm (estimated, job's process tree); gpu nvml-energy (measured, whole device)",
        "eco2ai/band": "cpu-model:vm x 0.5 to 2; nvml-energy x 0.95 to 1.05",
        "eco2ai/not_covered": "TPU; NPU",
    }


def test_what_is_not_known_is_left_out() -> None:
    start = Record(run="r", writer="w", event="start")
    assert facts_of(start, {}) == {"eco2ai/run": "r"}
    lost = start.from_dict(start.to_dict() | {"intensity": GRID | {"found_by": "unknown", "low": 400.0, "high": 400.0}})
    found = facts_of(lost, {})
    assert found["eco2ai/region"] == "DE (Germany, place unknown)"
    assert "eco2ai/intensity_band_g_per_kwh" not in found


def test_a_tracker_has_them_from_its_start_on() -> None:
    run = steady(Clock())
    assert run.figures.facts == {}
    with run:
        found = dict(run.figures.facts)
    assert found == run.figures.facts
    assert (found["eco2ai/run"], found["eco2ai/intensity_g_per_kwh"]) == (run.run_id, 360.0)
    assert found["eco2ai/band"] == "steady x 0.9 to 1.1"


def test_figures_without_a_run_have_none() -> None:
    run = steady(Clock())
    assert JobFigures(run.settings, run.guard, run._job, lambda: run.total).facts == {}
