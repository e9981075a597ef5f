"""What is shown of a run while it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_logs import HOSTILE, training
from sessions import Written

from eco2ai_callbacks.usage import Usage
from eco2ai_callbacks.watching.frame import Budget, Frame, frame_of
from eco2ai_callbacks.watching.neighbours import Neighbours
from eco2ai_callbacks.watching.state import LogState

LOG = Path("eco2ai.jsonl")
# The clock of the written logs begins here.
BEGIN = 1767225600.0


def frame(*args: Any, now: float = BEGIN + 10, **options: Any) -> Frame:
    state = LogState()
    if LOG.exists():
        state.take(LOG.read_bytes().splitlines())
    return frame_of(state.chosen(), str(LOG), now, *args, **options)


def rows(found: Frame) -> dict[str, str]:
    return {row.name: row.value for row in found.rows}


def test_a_run_that_is_trained_shows_all_that_its_records_hold() -> None:
    written = Written(LOG, description="first", shared_with=("other",))
    written.mark(metrics={"loss": 0.5})
    figures = {"energy_kwh": 1e-4, "energy_band_kwh": (5e-5, 2e-4), "co2_kg": 1e-4, "seconds": 20.0}
    written.note("forecast", **figures, done=1, planned=4)
    written.heartbeat(1)
    found = frame(Budget(energy_kwh=1e-4, co2_kg=1e-6, origin="ECO2AI_MAX_ENERGY_KWH"))
    assert found.title == "run run · demo · first"
    assert found.state == "running"
    assert rows(found) == {
        "state": "running, last record 4 s ago",
        "power": "18 W",
        "energy": "20 mWh (6.67 to 40 mWh)",
        "CO2e": "9.6 mg",
        "time": "4 s",
        "epoch": "1, train",
        "metrics": "loss 0.5",
        "forecast": "100 mWh (50 to 200 mWh), 100 mg CO2e, 20 s, 16 s left (25% done when it was made)",
        "budget": "80 mWh left of 100 mWh (ECO2AI_MAX_ENERGY_KWH)",
        "CO2e budget": "used up: 9.6 mg of 1 mg (ECO2AI_MAX_ENERGY_KWH)",
        "measured by": "cpu-model:vm",
    }
    assert [row.share for row in found.rows if row.share is not None] == [0.25, pytest.approx(0.2), 1.0]


def test_the_end_of_a_run_stays_to_be_read() -> None:
    training(LOG, epochs=2)
    found = frame()
    assert found.state == "ended"
    assert rows(found)["state"] == "ended: finished"
    assert rows(found)["mean power"] == "18 W"
    assert "forecast" not in rows(found)
    assert "power" not in rows(found)


@pytest.mark.parametrize(
    ("now", "near", "state", "said"),
    [
        (BEGIN + 5, None, "running", "running, last record 1 s ago"),
        (BEGIN + 304, None, "quiet", "no record for 5 min 00 s: it was killed, or writes no heartbeat"),
        (BEGIN + 304, Neighbours(True, (7, 8)), "running", "running (process 7, 8), last record 5 min 00 s ago"),
        (BEGIN + 3, Neighbours(True), "quiet", "no process of it is found on this host"),
        (BEGIN - 60, None, "running", "running, last record 0 s ago"),
    ],
    ids=["new", "old", "living", "gone", "clock set back"],
)
def test_whether_a_run_is_still_running(now: float, near: Neighbours | None, state: str, said: str) -> None:
    Written(LOG).mark()
    found = frame(neighbours=near, now=now)
    assert found.state == state
    assert rows(found)["state"].startswith(said)


def test_runs_on_the_same_device_are_named() -> None:
    Written(LOG, parent="outer").mark()
    near = Neighbours(True, (1,), tuple((f"other{number}", number) for number in range(7)))
    found = rows(frame(neighbours=near))
    assert found["inside"] == "run outer"
    assert found["shares the device with"].startswith("run other0 (process 0), run other1 (process 1)")
    assert found["shares the device with"].endswith(" and 2 more")


def test_the_log_names_those_that_share_the_device() -> None:
    state = LogState()
    Written(LOG).mark()
    state.take(LOG.read_bytes().splitlines())
    run = state.chosen()
    assert run is not None
    run.shared_with, run.failures = ("a", "b"), ("NVML was lost", "RAPL was lost")
    found = rows(frame_of(run, "log", BEGIN, None, Neighbours(sharing=(("a", 3),))))
    assert found["shares the device with"] == "run a (process 3), run b (by the log)"
    assert found["failed"] == "RAPL was lost; and 1 more"


def test_a_run_that_measures_nothing_has_no_figure() -> None:
    Written(LOG)
    found = rows(frame(Budget(energy_kwh=1.0)))
    assert (found["power"], found["energy"]) == ("-", "nothing measured so far")
    assert found["budget"] == "1 kWh: nothing is measured"


def test_ranks_that_are_missing_are_counted() -> None:
    Written(LOG, world_size=2).mark(epoch=10**9)
    found = rows(frame())
    assert (found["ranks"], found["epoch"]) == ("1 of 2 ranks", "1000000000, train")


def test_without_a_run_it_waits() -> None:
    found = frame()
    assert (found.state, found.text) == ("waiting", "waiting for a run in eco2ai.jsonl\n")


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_do_no_harm(name: str) -> None:
    Written(LOG, name, project=name, description=name).mark("stage", 10**9, name, metrics={name: 1.0})
    text = frame().text
    assert not set("\x1b\x07\u202e") & {*text}
    assert len(text.splitlines()) == 1 + len(frame().rows)


def test_what_a_forecast_leaves_open_is_left_out() -> None:
    written = Written(LOG)
    written.mark()
    written.note("forecast", energy_kwh=1e-4)
    found = frame()
    assert rows(found)["forecast"] == "100 mWh"
    assert all(row.share is None for row in found.rows)


def test_a_price_makes_a_cost() -> None:
    Written(LOG).mark()
    state = LogState()
    state.take(LOG.read_bytes().splitlines())
    run = state.chosen()
    assert run is not None
    run.ranks[0].usage = Usage(2.0, {}, None, 0.25)
    run.ranks[0].until = None
    found = rows(frame_of(run, "log", BEGIN))
    assert (found["cost"], found["state"]) == ("0.25", "running")
    assert "CO2e" not in found


def test_a_run_that_ended_without_a_figure_has_no_mean_power() -> None:
    written = Written(LOG)
    written.stop()
    state = LogState()
    state.take(LOG.read_bytes().splitlines())
    run = state.chosen()
    assert run is not None
    run.ranks[0].usage = Usage()
    assert "mean power" not in rows(frame_of(run, "log", BEGIN))
