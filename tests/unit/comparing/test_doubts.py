"""Why a difference cannot be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_logs import GRID
from seeds import seed

from eco2ai_callbacks.comparing.doubts import Side, cautions, doubts, epoch_doubts
from eco2ai_callbacks.comparing.figures import figures_of
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.count import Count
from eco2ai_callbacks.report.load import load

METHOD = {"cpu": "rapl", "gpu:GPU-a": "nvml-energy"}


def side(name: str, *runs: str, **fields: Any) -> Side:
    """Runs with one record each; ``fields`` change it."""
    count = Count()
    for run in runs:
        plain = {"writer": f"w{run}", "event": "epoch", "epoch": 0, "seconds": 2.0, "host": "h", "method": METHOD}
        plain |= {"joules": {"cpu": 5.0, "gpu:GPU-a": 9.0}, "attribution": {"cpu": "job", "gpu:GPU-a": "whole device"}}
        count.add(Record(run=run, **plain | fields))
    return Side(name, [figures_of(run) for run in count.result()])


BASE = side("A", "a1", "a2")


def test_runs_that_are_measured_alike_leave_no_doubt() -> None:
    assert doubts(BASE, side("B", "b1", "b2")) == []


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"method": {"cpu": "cpu-model", "gpu:GPU-a": "nvml-energy"}},
            "the measuring methods differ (cpu by rapl, gpu by nvml-energy in A, "
            "cpu by cpu-model, gpu by nvml-energy in B)",
        ),
        ({"method": {"cpu": "rapl"}}, "other components are included (cpu, gpu in A, cpu in B)"),
        ({"covers": {"cpu": ("cpu", "ram")}}, "other components are included (cpu, gpu in A, cpu, gpu, ram in B)"),
        (
            {"attribution": {"cpu": "whole machine", "gpu:GPU-a": "whole device"}},
            "the energy is not that of the same processes (cpu of the job, gpu of the whole device in A, "
            "cpu of the whole machine, gpu of the whole device in B)",
        ),
        ({"method": METHOD | {"gpu:GPU-b": "nvml-energy"}}, "the hardware differs (1 GPU in A, 2 GPUs in B)"),
        ({"world_size": 2}, "the hardware differs (1 rank in A, 2 ranks in B)"),
        ({"world_size": 2}, "ranks are missing in runs b1, b2"),
        ({"host": "other"}, "the runs were on different hosts, or on one before and after a reboot"),
        ({"parent": "a1"}, "one was measured inside the other (runs b1, b2)"),
    ],
    ids=["method", "component", "covers", "attribution", "GPUs", "ranks", "missing ranks", "host", "nested"],
)
def test_what_differs_is_named(fields: dict[str, Any], sentence: str) -> None:
    assert sentence in doubts(BASE, side("B", "b1", "b2", **fields))


def test_one_run_of_a_group_that_is_measured_otherwise_is_enough() -> None:
    mixed = Side("B", [*side("B", "b1").figures, *side("B", "b2", method={"cpu": "rapl"}).figures])
    assert any("cpu, gpu or cpu in B" in each for each in doubts(BASE, mixed))


def test_hosts_that_the_user_states_to_be_equal_are() -> None:
    assert doubts(BASE, side("B", "b1", "b2", host="other"), same_hardware=True) == []


def test_a_single_run_shows_nothing_of_repeats() -> None:
    assert doubts(BASE, side("B", "b")) == ["B is a single run, so how far repeats differ is not known"]
    assert doubts(side("A", "a"), side("B", "b")) == [
        "A and B are each a single run, so how far repeats differ is not known"
    ]


def test_epochs_of_another_length_or_with_other_stages_are_not_the_same() -> None:
    one = side("A", "a", samples=1000)
    assert epoch_doubts(one, side("B", "b", samples=1010)) == []
    assert epoch_doubts(one, side("B", "b")) == []
    assert epoch_doubts(one, side("B", "b", samples=500)) == ["epochs differ in length (1000 samples in A, 500 in B)"]
    assert epoch_doubts(one, side("B", "b", stage="validate")) == [
        "epochs have different stages (other in A, validate in B)"
    ]


def test_cautions_name_what_else_a_reader_must_know() -> None:
    log = Path("eco2ai.jsonl")
    seed(log, "a", intensity=GRID)
    written = seed(log, "b", ends=False, intensity=GRID | {"kind": "direct", "year": 2023})
    written.heartbeat(4)
    runs = load(log)
    found = cautions(*(Side(name, [figures_of(runs[name])]) for name in "ab"))
    assert found == [
        "CO2e is not compared: the carbon intensities or the PUE differ (lifecycle 2025 DE with PUE 1.2: 400 g/kWh in "
        "a, direct 2023 DE with PUE 1.2: 400 g/kWh in b)",
        "not finished: run b",
        "epochs that were cut off are left out in run b",
        "estimated, so a difference is only as good as the model: cpu-model:vm",
    ]


def test_other_devices_and_failures_are_cautions() -> None:
    renamed = {"method": {"cpu": "rapl", "gpu:GPU-z": "nvml-energy"}, "failures": ("lost",), "shared_with": ("c",)}
    assert cautions(BASE, side("B", "b1", **renamed, siblings=("d",)))[:4] == [
        "other devices of the same number were used in A and B",
        "devices were shared with other runs in run b1",
        "energy was divided among runs of one process, by threads and time, in run b1",
        "something could not be measured in run b1; `eco2ai report` names it",
    ]


def test_hourly_intensities_are_named_once() -> None:
    log = Path("eco2ai.jsonl")
    for number in range(4):
        seed(log, "a" if number else "b", intensity=GRID | {"g_per_kwh": 300.0 + number})
    runs = load(log)
    found = cautions(*(Side(name, [figures_of(runs[name])]) for name in "ab"))
    assert "lifecycle 2025 DE with PUE 1.2: a figure for each hour in a" in found[0]
