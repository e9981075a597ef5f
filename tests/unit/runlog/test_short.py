"""The lines of records: what they state, and that readers get the records back."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from eco2ai_callbacks.record import Record, banded, described, measured, whole_epoch
from eco2ai_callbacks.runlog.restore import Restorer
from eco2ai_callbacks.runlog.short import BY_CHANNEL, INFERRED, NOTHING, OWN, STANDING, Short, names_of
from eco2ai_callbacks.usage import Method, Usage

CPU = {"cpu": Method("cpu-model:vm", 1 / 3, 2.0, scope="job", note="2.02 W per busy thread")}
GPUS = {
    f"gpu:GPU-8b1e7a52-0c3d-4f7e-9a61-2f4f4a0d1c0{n}": Method(
        "nvml-energy", 0.95, 1.05, edge_j=0.1, counter=True, scope="device"
    )
    for n in range(2)
}
INTENSITY = {"g_per_kwh": 400.0, "region": "DE", "low": 360.0, "high": 440.0}
START = Record(
    run="5e1f09c2a7d34b86",
    writer="1e1f09c2a7d34b86",
    event="start",
    start="2026-01-01T00:00:00.000+00:00",
    project="demo",
    host="0123456789abcdef",
    pid=1234,
    pue=1.2,
    intensity=INTENSITY,
    version="0.1.0",
    not_covered=("TPU",),
    total={"energy_kwh": None, "co2_kg": None, "seconds": 0.0, "joules": {}},
    attempts=(),
)


def epoch(seq: int, methods: dict[str, Method], **fields: Any) -> Record:
    """The record of an epoch with figures of many digits."""
    usage = Usage(
        12.345678901234 + seq / 7, dict.fromkeys(methods, 1234.56789012345 + seq / 3), 98.7654321012 + seq / 9
    )
    total = Usage(1e5 / 3, dict.fromkeys(methods, 10000000.0 / 3), 1e5 / 7)
    record = dataclasses.replace(
        START,
        seq=seq,
        event="epoch",
        stage="train",
        epoch=seq,
        attempt=1,
        **measured(usage, methods),
        **whole_epoch(usage),
        total=banded(total, methods, (0.9, 1.1)) | {"joules": dict(total.joules)},
        attempts=((0, seq, 1),),
        samples=50_000,
    )
    return dataclasses.replace(record, **fields)


def lines(records: list[Record]) -> list[bytes]:
    """The lines of records of one writer; the first is an anchor."""
    standing, found = NOTHING, []
    for record in records:
        short = Short(record, names_of(record.run, record.writer), standing)
        standing = short.standing
        found.append(short.line("0" * 32 if found else None, None if found else {"to": 0}))
    return found


def restored(found: list[bytes]) -> list[Record]:
    said = Restorer()
    return [dataclasses.replace(said.record(json.loads(line)), prev=None) for line in found]


def test_every_field_of_a_record_is_of_one_kind() -> None:
    kinds = [*STANDING, *BY_CHANNEL, *OWN, *INFERRED, "schema", "run", "writer", "seq", "prev", "hmac"]
    assert sorted([*kinds, "joules", "total", "metrics"]) == sorted(field.name for field in dataclasses.fields(Record))


@pytest.mark.parametrize("methods", [CPU, CPU | GPUS], ids=["one CPU", "two GPUs"])
def test_a_plain_epoch_has_700_bytes_at_most_and_says_what_changes(methods: dict[str, Method]) -> None:
    records = [dataclasses.replace(START, **described(methods)), *(epoch(seq, methods) for seq in range(1, 1500))]
    found = lines(records)
    assert max(map(len, found[1:])) <= 700
    members = {"schema", "run", "writer", "seq", "prev", "event", "epoch", "attempt", "stage", "start", "seconds"}
    members |= {"energy_kwh", "co2_kg", "samples", "attempts", "joules", "total"}
    assert all(json.loads(line).keys() == members for line in found[1:])
    assert restored(found[:3]) == records[:3]
    assert restored(found)[-1] == records[-1]


@pytest.mark.parametrize(
    "changed",
    [
        {"failures": ("NVML: lost",)},
        {"parent": "outer"},
        {"project": ""},
        {"not_covered": ()},
        {"shared_with": ("other",)},
        {"description": "café 計画"},
        {"band": {"cpu": (1.0, 9000.0)}},
        {"measured_share": 0.5},
        {"epoch_total": None, "epoch_energy_kwh": None, "epoch_co2_kg": None},
        {"epoch_energy_kwh": 9.0},
        {"cost": 0.5},
        {"total": None},
        {"attempts": None},
        {"phases": {"data": (0.5, 1.5), "other": (1.5, 0.5)}},
        {"gpu_health": {"a": {"index": 0, "seconds": 2.0, "throttle": {"power cap": 0.5}}}},
        {"steps": (50, 10, 640, None)},
        {"metrics": {"loss": 0.5, "name": "x"}},
        {"method": {}, "attribution": {}, "accuracy": {}, "band": {}, "measured_share": None},
        {"accuracy": {"cpu": (0.5, 1.5, 0.0, False)}},
        {"intensity": None},
        {"rank": 3, "world_size": 8},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_changes_is_stated_once_and_holds_from_then_on(changed: dict[str, Any]) -> None:
    records = [dataclasses.replace(START, **described(CPU)), epoch(1, CPU), epoch(2, CPU, **changed)]
    records += [epoch(3, CPU, **changed), epoch(4, CPU), epoch(5, CPU)]
    assert restored(lines(records)) == records


def test_a_channel_that_comes_late_is_described_where_it_comes() -> None:
    late = CPU | dict(list(GPUS.items())[:1])
    records = [dataclasses.replace(START, **described(CPU)), epoch(1, CPU), epoch(2, late), epoch(3, late)]
    found = lines(records)
    assert restored(found) == records
    assert list(json.loads(found[2])["method"]) == list(GPUS)[:1]
    assert "method" not in json.loads(found[3])


def test_an_anchor_states_all_that_holds() -> None:
    records = [dataclasses.replace(START, **described(CPU)), epoch(1, CPU, failures=("NVML: lost",))]
    standing = Short(records[0], b"", NOTHING).standing
    line = Short(records[1], names_of("5e1f09c2a7d34b86", "1e1f09c2a7d34b86"), standing).line(None, {"to": 7})
    assert restored([line]) == records[1:]
    assert json.loads(line)["anchor"] == {"to": 7}


@pytest.mark.parametrize("wrong", [{"seconds": float("nan")}, {"total": {"seconds": float("inf")}}], ids=["nan", "inf"])
def test_what_is_no_number_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        Short(dataclasses.replace(START, **wrong), b"", NOTHING)
    with pytest.raises(ValueError, match="no reader would take"):
        names_of(5, "w")  # type: ignore[arg-type]
