"""Records with whether they count."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from report_logs import folder, training
from sessions import Written

from eco2ai_callbacks.report.counted import CountedRecords
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.select import selected


def energy(*given: str | Path) -> tuple[float, float | None]:
    with selected(given) as selection:
        found = CountedRecords(selection)
        return math.fsum(each.usage.energy_kwh or 0.0 for each in found if each.counts), found.runs.sum.energy_kwh


def test_the_sum_over_what_counts_is_that_of_a_report() -> None:
    folder()
    assert energy("logs")[0] == pytest.approx(load("logs").sum.energy_kwh)
    # Alone, the inner run counts.
    assert energy("logs/inner.jsonl")[0] == pytest.approx(load("logs/inner.jsonl").sum.energy_kwh)


def test_carried_energy_counts_once_with_its_start() -> None:
    Written(Path("a.jsonl"), carried={"energy_kwh": 1.0, "co2_kg": 0.5, "seconds": 5.0}).stop()
    with selected("a.jsonl") as selection:
        start, stop = CountedRecords(selection)
    assert (start.counts, start.usage.energy_kwh, start.usage.co2_kg, start.usage.seconds) == (True, 1.0, 0.5, 5.0)
    assert stop.counts
    assert energy("a.jsonl")[0] == pytest.approx(1.0 + 1e-5)


def test_a_heartbeat_counts_only_as_the_last_and_a_copy_is_left_out() -> None:
    killed = Written(Path("a.jsonl"))
    for _ in range(2):
        killed.heartbeat()
        killed.mark()
    killed.heartbeat()
    killed.note(loss=1.0)
    Path("b.jsonl").write_bytes(Path("a.jsonl").read_bytes())
    with selected(["a.jsonl", "b.jsonl"]) as selection:
        found = list(CountedRecords(selection))
    beats = [each.counts for each in found if each.record.event == "heartbeat"]
    assert beats == [False, False, True]
    assert len(found) == 7


def test_what_is_appended_meanwhile_is_left_for_the_next_time() -> None:
    log = Path("a.jsonl")
    running = Written(log)
    running.heartbeat()
    with selected(log) as selection:
        found = CountedRecords(selection)
        running.mark()
        counted = [each.usage.energy_kwh for each in found if each.counts]
    assert counted == [pytest.approx(found.runs.sum.energy_kwh)]


def test_a_table_of_a_run_with_a_log_gives_no_record() -> None:
    training(Path("a.jsonl"), "a1", 1)
    head = "id,project_name,duration(s),power_consumption(kWh),CO2_emissions(kg)\n"
    Path("t.csv").write_text(head + "a1,p,1.0,1.0,1.0\nb2,p,1.0,2.0,1.0\n")
    with selected(["t.csv", "a.jsonl"]) as selection:
        found = CountedRecords(selection)
        tables = [each.record.run for each in found if each.log == "t.csv"]
    assert tables == ["b2"]
