"""What is to be said of runs where they are published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from publications import trained_runs
from report_logs import GRID, folder, training

from eco2ai_callbacks.export.standards.boundary import OPTION, bounded
from eco2ai_callbacks.export.standards.options import Options
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.statement import listed, per_run, statement


def test_figures_are_those_of_all_reports() -> None:
    runs = load(folder())
    found = statement(runs)
    assert found.sum == runs.sum
    assert [run.id for run in found.counted] == ["killed", "outer", "job"]
    assert found.facility_kwh == pytest.approx(1.2 * (runs.sum.energy_kwh or 0.0))
    assert sum(each.sum.energy_kwh or 0.0 for each in per_run(found)) == pytest.approx(runs.sum.energy_kwh)
    assert found.not_covered == ("a switch",)


def test_a_run_inside_another_counts_where_it_is_stated_alone() -> None:
    runs = load(folder())
    inner = runs["inner"]
    assert not inner.counts
    assert statement([inner]).sum.energy_kwh == inner.energy_kwh
    assert statement([inner, runs["outer"]]).sum.energy_kwh == runs["outer"].energy_kwh


def test_gpu_hours_are_those_of_each_card_and_processors_have_none() -> None:
    assert statement(trained_runs()).gpu_hours == 3.0
    training(Path("cpu.jsonl"))
    assert statement(load("cpu.jsonl")).gpu_hours is None


def test_hardware_and_methods_are_named() -> None:
    found = statement(trained_runs())
    assert found.hardware == "1 x NVIDIA L4"
    assert found.said_methods == "measured: gpu by nvml-energy; estimated: cpu by cpu-model:vm and ram by ram-model"
    assert found.software == ("eco2ai-callbacks 0.1.0",)
    assert found.read_share == pytest.approx(found.sum.measured_share)
    assert found.places == ("France",)


def test_a_place_that_was_not_found_is_none() -> None:
    training(Path("eco2ai.jsonl"), intensity=GRID | {"found_by": "unknown", "region": "WORLD", "name": "World"})
    found = statement(load("eco2ai.jsonl"))
    assert found.places == ()
    assert found.said_factors == "400 g CO2e/kWh for World, place unknown (Ember 2026-04, 2025, lifecycle)"


def test_what_another_tool_counted_is_called_neither_measured_nor_estimated() -> None:
    Path("emissions.csv").write_text(
        "timestamp,project_name,run_id,duration,emissions,cpu_energy,energy_consumed,country_iso_code,codecarbon_version\n"
        "2026-01-01T10:00:00,demo,run-1,20,0.02,0.8,0.8,FRA,3.0.4\n"
    )
    found = statement(load("emissions.csv"))
    assert found.said_methods == "by another tool: cpu by codecarbon"
    assert found.software == ("CodeCarbon 3.0.4",)
    assert found.places == ("France",)
    told = bounded(found.runs, Options("form", {}, OPTION))
    assert told.kind == "not known"
    assert "whether it is measured or estimated is not known." in told.basis[0]


@pytest.mark.parametrize(("region", "place"), [("our cellar", "our cellar"), ("US-CA", "California, United States")])
def test_a_place_has_its_name(region: str, place: str) -> None:
    training(Path("eco2ai.jsonl"), intensity=GRID | {"region": region, "found_by": "setting"})
    assert statement(load("eco2ai.jsonl")).places == (place,)


def test_factors_of_one_source_are_a_range_and_their_mean_is_that_of_the_run() -> None:
    for number, grams in enumerate((300.0, 500.0)):
        training(Path(f"{number}.jsonl"), f"run{number}", intensity=GRID | {"g_per_kwh": grams})
    found = statement(load("*.jsonl"))
    assert found.said_factors == "300 to 500 g CO2e/kWh for Germany (Ember 2026-04, 2025, lifecycle)"
    assert found.g_per_kwh == pytest.approx(400.0)  # of the CO2e itself, at 400 g/kWh in both


def test_several_pues_have_no_facility_energy_and_no_mean_factor() -> None:
    for number, pue in enumerate((1.1, 1.3)):
        training(Path(f"{number}.jsonl"), f"run{number}", pue=pue)
    found = statement(load("*.jsonl"))
    assert (found.pue, found.facility_kwh, found.g_per_kwh) == (None, None, None)
    assert found.said_pue == "1.1 and 1.3"


def test_what_limits_the_figures_is_said() -> None:
    carried = {"energy_kwh": 1.0, "co2_kg": 0.4, "seconds": 5.0}
    training(Path("eco2ai.jsonl"), carried=carried, world_size=2, not_covered=("TPU",))
    (run,) = load("eco2ai.jsonl")
    found = statement([replace(run, shared_with=("x",), siblings=("y",))])
    assert found.limits[0].startswith("Energy is that of cpu; mainboards, disks")
    assert found.limits[1] == "It is IT energy; CO2e holds the data centre's overhead (PUE)."
    assert found.cautions[0] == "No meter read TPU."
    assert found.cautions[1].startswith("1 kWh of it is from a checkpoint without its log")
    assert found.cautions[2] == "Ranks are missing in run run."
    shared = "Other runs used the same devices at the time of run run; counted is: cpu job's process tree."
    assert found.cautions[3] == shared
    divided = "Several runs ran in one process and divide its energy, by threads and time: run run."
    assert found.cautions[4] == divided


def test_nothing_says_nothing() -> None:
    found = statement(())
    assert (found.sum.energy_kwh, found.gpu_hours, found.started, found.ended) == (None, None, None, None)
    assert (found.said_methods, found.said_factors, found.said_pue, found.cautions) == ("", "", "", ())
    assert found.scope.startswith("Mainboards, disks")


@pytest.mark.parametrize(
    ("names", "said"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (list("abc"), "a, b and c"), (list("abcdefghij"), None)],
    ids=["none", "one", "two", "three", "many"],
)
def test_names_are_a_list_in_words(names: list[str], said: str | None) -> None:
    assert listed(names) == (said if said is not None else "a, b, c, d, e, f, g, h and 2 more")
