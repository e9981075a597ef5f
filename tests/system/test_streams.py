"""A loop over data without an end: rows by steps, and parts of the stream in place of epochs."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from logcheck import check_whole, rows

from eco2ai_callbacks import Tracker

STEPS, PART, WINDOW = 200, 50, 20


def work() -> None:
    until = time.process_time() + 0.002
    while time.process_time() < until:
        pass


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_a_loop_over_a_stream_has_rows_and_forecasts_by_steps() -> None:
    shown, forecasts = [], []
    settings = {"region": "FR", "console": False, "gpus": (), "powercap_root": "nowhere", "ram_w_per_gib": 0.0}
    with Tracker(every_n_steps=WINDOW, **settings) as run:  # type: ignore[arg-type]
        for step in itertools.count(1):
            work()
            if row := run.step(samples=2):
                shown.append((step, row))
            if step % PART == 0:
                forecasts.append(run.end_epoch(done=step, planned=STEPS).forecast["eco2ai/forecast_energy_kwh"])
            if step == STEPS:
                break
    found = rows()
    check_whole(found)
    windows = [tuple(row["steps"]) for row in found if row["steps"]]
    # Two windows in each part, and the rest with the part's end.
    parts = range(0, STEPS, PART)
    assert windows == [
        window
        for part in parts
        for window in ((part + 20, 20, 40, None), (part + 40, 20, 40, None), (part + 50, 10, 20, None))
    ]
    assert [step for step, _ in shown] == [part + end for part in parts for end in (20, 40)]
    for _, row in shown:
        assert row["eco2ai/step_j_per_step"] == pytest.approx(row["eco2ai/step_energy_kwh"] * 3.6e6 / WINDOW)
    told = [(row["metrics"]["done"], row["metrics"]["planned"]) for row in found if row["event"] == "forecast"]
    assert told == [(100, STEPS), (150, STEPS)]
    assert len(forecasts) == STEPS // PART
    used = [row["total"]["energy_kwh"] for row in found if row["event"] == "epoch"]
    assert all(forecast > so_far for forecast, so_far in zip(forecasts[:-1], used[:-1], strict=True))
    assert forecasts[-1] == pytest.approx(used[-1])
