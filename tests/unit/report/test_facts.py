"""What records state of a run beside its usage."""

from __future__ import annotations

from typing import Any

from eco2ai_callbacks.host.gpu_health import GpuHealth
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.facts import Facts

GRID = {"g_per_kwh": 56.0, "region": "FR", "name": "France", "dataset": "Ember", "year": 2025, "kind": "lifecycle"}
SOURCES = (
    {"name": "rapl", "used": False, "status": "failed", "reason": "not readable"},
    {"name": "cpu-model", "used": True, "measured": (), "reason": ""},
    {"name": "nvml", "used": True, "measured": ("nvml-energy",), "devices": ({"uuid": "GPU-a", "name": "L4"}, {}, 7)},
    {"name": "ram-model", "used": False, "status": "displaced", "reason": "RAPL has it"},
)


def record(**values: Any) -> Record:
    return Record(**{"run": "r", "writer": "w", "event": "stage"} | values)


def taken(*records: Record) -> dict[str, Any]:
    facts = Facts()
    for each in records:
        facts.take(each)
    return facts.fields()


def test_each_fact_is_kept_once() -> None:
    found = taken(
        record(event="start", sources=SOURCES, project="p", description="d", version="0.1.0"),
        *[record(method={"cpu": "cpu-model"}, covers={"cpu": ("cpu", "ram")}, attribution={"cpu": "job"})] * 2,
        record(
            method={"cpu": "rapl"},
            failures=("one", "two"),
            not_covered=("TPU",),
            shared_with=("other",),
            siblings=("s",),
        ),
        record(failures=("two", "three"), intensity=GRID, pue=1.2, version="0.2.0", world_size=4),
    )
    assert (found["project"], found["description"], found["world_size"]) == ("p", "d", 4)
    assert found["methods"] == {"cpu": ("cpu-model", "rapl")}
    assert found["covers"] == {"cpu": ("cpu", "ram")}
    assert found["attribution"] == {"cpu": "job"}
    assert found["failures"] == ("one", "two", "three")
    assert (found["not_covered"], found["shared_with"], found["siblings"]) == (("TPU",), ("other",), ("s",))
    assert found["unused"] == (("rapl", "not readable"),)
    assert "nvml-energy" in found["hardware"]
    assert "cpu-model" not in found["hardware"]
    assert found["devices"] == {"GPU-a": "L4"}
    assert found["versions"] == ("0.1.0", "0.2.0")
    (factor,) = found["factors"]
    assert (factor.g_per_kwh, factor.name, factor.year, factor.kind, factor.pue) == (
        56.0,
        "France",
        2025,
        "lifecycle",
        1.2,
    )


def test_many_forecasts_are_thinned_out_and_the_first_stays() -> None:
    found = taken(*(record(event="forecast", epoch=n, metrics={"energy_kwh": float(n)}) for n in range(5000)))
    epochs = [each.epoch for each in found["forecasts"]]
    assert len(epochs) <= 256
    assert epochs[0] == 0
    assert epochs == sorted(epochs)
    assert epochs[-1] > 4000


def test_numbers_of_no_epoch_are_the_runs() -> None:
    found = taken(
        record(event="metrics", metrics={"loss": 1.0}), record(event="metrics", metrics={"loss": 0.5, "t": "x"})
    )
    assert found["metrics"] == {"loss": 0.5}


def test_facts_without_end_do_not_fill_the_memory() -> None:
    records = (
        record(
            failures=(f"f{n}",), not_covered=(f"c{n}",), version=f"v{n}", method={f"c{n}": "m"}, intensity={"year": n}
        )
        for n in range(1000)
    )
    found = taken(*records)
    assert max(len(found[name]) for name in ("failures", "not_covered", "versions", "methods", "factors")) <= 200


def test_facts_of_another_form_are_passed_over() -> None:
    found = taken(
        record(method=[1], failures="all", not_covered=7, intensity=(1,), sources={"a": 1}, description=7),
        record(event="forecast", metrics="soon"),
        record(event="metrics", metrics=(1,)),
    )
    assert (found["methods"], found["failures"], found["not_covered"], found["description"]) == ({}, (), (), "")


def test_two_files_facts_are_put_together() -> None:
    one, other = Facts(), Facts()
    one.take(record(project="p", method={"cpu": "rapl"}, failures=("one",)))
    other.take(record(project="q", method={"ram": "ram-model"}, failures=("two",), intensity=GRID, world_size=2))
    other.take(record(event="forecast", metrics={"energy_kwh": 1.0}))
    other.take(record(event="metrics", metrics={"loss": 0.5}))
    one.plus(other)
    found = one.fields()
    assert (found["project"], found["failures"], found["world_size"]) == ("p", ("one", "two"), 2)
    assert found["methods"] == {"cpu": ("rapl",), "ram": ("ram-model",)}
    assert len(found["factors"]) == len(found["forecasts"]) == 1
    assert found["metrics"] == {"loss": 0.5}


def test_the_state_of_gpus_is_summed_up_over_records_and_logs() -> None:
    busy = {"GPU-a": {"index": 0, "seconds": 30.0, "busy": 1.0, "idle": 0.0, "idle_j": 0.0}}
    idle = {"GPU-a": {"index": 0, "seconds": 10.0, "busy": 0.0, "idle": 1.0, "idle_j": 50.0}, "GPU-b": 7}
    whole = GpuHealth(index=0, seconds=40.0, busy=0.75, idle=0.25, idle_j=50.0)
    assert taken(record(gpu_health=busy), record(), record(gpu_health=idle))["gpu_health"] == {"GPU-a": whole}
    one, other = Facts(), Facts()
    one.take(record(gpu_health=busy))
    other.take(record(gpu_health=idle))
    one.plus(other)
    assert one.fields()["gpu_health"] == {"GPU-a": whole}


def test_a_log_that_names_ever_new_gpus_does_not_fill_the_memory() -> None:
    found = taken(*(record(gpu_health={f"GPU-{n}": {"index": 0, "seconds": 1.0}}) for n in range(1000)))
    assert len(found["gpu_health"]) == 200
