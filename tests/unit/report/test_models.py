"""The CPU's model against its counters, by processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sessions import Written

from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.models import as_json, as_table, compared

CHECK: dict[str, Any] = {
    **{"cpu": "AMD EPYC 7763", "method": "cpu-model:bare", "counter_j": 3.6e6, "model_j": 1.8e6, "seconds": 3600.0},
    **{"busy_s": 14400.0, "threads": 8.0},
}


def written(run: str, **check: Any) -> None:
    session = Written(Path(f"{run}.jsonl"), run)
    session.mark("stop", None, "other", None, ended="finished", model_check=CHECK | check)


def test_sessions_of_one_processor_and_model_are_put_together() -> None:
    written("one")
    written("two", model_j=7.2e6)
    written("three", cpu="Intel Xeon")
    written("four", method="cpu-model:calibrated")
    found = compared(load("*.jsonl"))
    assert [(each.cpu, each.method, each.sessions) for each in found] == [
        ("AMD EPYC 7763", "cpu-model:bare", 2),
        ("AMD EPYC 7763", "cpu-model:calibrated", 1),
        ("Intel Xeon", "cpu-model:bare", 1),
    ]
    both = found[0]
    assert (both.hours, both.load, both.counter_kwh, both.model_kwh) == (2.0, 0.5, 2.0, 2.5)
    assert (both.ratio, both.least, both.most) == (1.25, 0.5, 2.0)
    assert as_table(found).splitlines()[1].split("  ")[0] == "AMD EPYC 7763"
    assert "x1.25  x0.50  x2.00" in as_table(found)
    assert json.loads(as_json(found))[0]["ratio"] == 1.25


@pytest.mark.parametrize(
    "check",
    [{"counter_j": 0.0}, {"counter_j": None}, {"model_j": "x"}, {"seconds": 0.0}, {"threads": -1.0}],
    ids=["no joules", "none", "text", "no time", "negative"],
)
def test_what_compares_nothing_is_passed_over(check: dict[str, Any]) -> None:
    written("odd", **check)
    assert compared(load("odd.jsonl")) == []


def test_a_name_from_a_log_does_no_harm() -> None:
    written("odd", cpu="\x1b[31m" + "x" * 600)
    assert "\x1b" not in as_table(compared(load("odd.jsonl")))
