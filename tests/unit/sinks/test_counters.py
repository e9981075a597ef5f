"""What monitoring systems get of a run."""

from __future__ import annotations

from typing import Any

import pytest

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.sinks.counters import FAMILIES, counters_of


def record(**fields: Any) -> Record:
    total = {"joules": {"cpu": 7.2, "gpu:GPU-1": 3.6}, "energy_kwh": 3e-6, "co2_kg": 1e-3, "seconds": 2.0, "cost": 0.5}
    common = {"run": "a", "writer": "w", "event": "stage", "project": "p", "host": "h", "rank": 1, "version": "0.1.0"}
    return Record(**{**common, "start": "2026-01-01T00:00:00+00:00", "seconds": 2.0, "total": total} | fields)


def test_a_record_gives_the_run_so_far_in_base_units() -> None:
    found = counters_of(record(intensity={"region": "FR"}, description="d"))
    assert found is not None
    assert found.labels == {"run": "a", "project": "p", "host": "h", "rank": "1"}
    assert (found.joules, found.seconds, found.grams, found.cost) == ({"cpu": 7.2, "gpu:GPU-1": 3.6}, 2.0, 1.0, 0.5)
    assert found.updated == 1767225602.0
    assert found.facts == {"description": "d", "region": "FR", "version": "0.1.0"}
    values = {family.name: list(family.values(found)) for family in FAMILIES}
    assert values["energy"] == [
        (7.2, {"channel": "cpu", "component": "cpu"}),
        (3.6, {"channel": "gpu:GPU-1", "component": "gpu"}),
    ]
    assert values["run_info"] == [(1.0, found.facts)]


def test_what_is_not_known_has_no_value() -> None:
    assert counters_of(record(total=None)) is None
    found = counters_of(record(total={"energy_kwh": 1e-6, "seconds": 1.0, "co2_kg": None}, start="once"))
    assert found is not None
    assert (found.joules, found.grams, found.cost, found.updated) == ({"all": pytest.approx(3.6)}, None, None, None)
    names = {family.name for family in FAMILIES if list(family.values(found))}
    assert names == {"energy", "duration", "run_info"}
    empty = counters_of(record(total={"energy_kwh": None}))
    assert empty is not None
    assert (empty.joules, empty.seconds) == ({}, 0.0)
