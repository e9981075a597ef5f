"""Reader of a run log, and checks that any run log must pass."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from eco2ai_callbacks import Tracker, load
from eco2ai_callbacks.runlog.restore import Restorer
from eco2ai_callbacks.runlog.verify import verify

Row = dict[str, Any]
ADDING = ("epoch", "stage", "stop")


def rows(path: Path | str = "eco2ai.jsonl") -> list[Row]:
    """Return the lines of a log, each of which must be whole."""
    return full(Path(path).read_text().splitlines())


def full(lines: list[str]) -> list[Row]:
    """Return the records of a log's lines with all their fields."""
    said = Restorer()
    return [said.record(json.loads(line)).to_dict() for line in lines]


def rows_so_far(path: Path | str = "eco2ai.jsonl") -> list[Row]:
    """Return the lines of a log that is being written: a reader may see the beginning of the last one alone."""
    return full(Path(path).read_text().split("\n")[:-1])


def by_run(found: list[Row]) -> dict[str, list[Row]]:
    """Return the lines of each run, in the order of the runs' first lines."""
    runs: dict[str, list[Row]] = defaultdict(list)
    for row in found:
        runs[row["run"]].append(row)
    return dict(runs)


def by_writer(found: list[Row]) -> list[list[Row]]:
    """Return the lines of each session."""
    writers: dict[str, list[Row]] = defaultdict(list)
    for row in found:
        writers[row["writer"]].append(row)
    return list(writers.values())


def close(one: float, other: float, rel: float = 1e-9) -> bool:
    """Return whether two figures are equal, apart from the order of summing."""
    return math.isclose(one, other, rel_tol=rel, abs_tol=1e-15)


def check_whole(found: list[Row], *, stopped: bool = True) -> None:
    """Check that every second and joule of every session is in exactly one mark, and that all marks add up."""
    assert found, "nothing was logged"
    verdict = verify(Path("eco2ai.jsonl"))
    assert verdict.whole, verdict.first
    for run in by_run(found).values():
        energy = co2 = seconds = 0.0
        for session in by_writer(run):
            assert session[0]["event"] == "start"
            assert [row["seq"] for row in session] == list(range(len(session)))
            assert (session[-1]["event"] == "stop") is stopped
            assert not session[-1]["failures"], session[-1]["failures"]
            end = None
            for row in session:
                if row["event"] not in ADDING:
                    continue
                begin = datetime.fromisoformat(row["start"]).timestamp()
                # The label is the wall clock's, to the millisecond: a segment begins where the last one has ended.
                assert end is None or abs(begin - end) < 0.01, (begin, end, row)
                end = begin + row["seconds"]
                assert row["seconds"] > 0
                for value in (*row["joules"].values(), row["energy_kwh"], row["co2_kg"]):
                    assert math.isfinite(value)
                    assert value >= 0
                energy += row["energy_kwh"]
                co2 += row["co2_kg"]
                seconds += row["seconds"]
                assert close(row["total"]["energy_kwh"], energy)
                assert close(row["total"]["co2_kg"], co2)
                assert close(row["total"]["seconds"], seconds)
        assert energy > 0


def epochs(found: list[Row]) -> list[Row]:
    """Return the epoch records, and check that each one's ``epoch_total`` is the sum of its train marks."""
    result = []
    for row in found:
        if row["event"] != "epoch":
            continue
        parts = [
            other
            for other in found
            if other["event"] in ADDING
            and other["writer"] == row["writer"]
            and (other["stage"], other["epoch"], other["attempt"]) == ("train", row["epoch"], row["attempt"])
        ]
        for name in ("energy_kwh", "co2_kg", "seconds"):
            assert close(row["epoch_total"][name], sum(part[name] for part in parts)), name
        assert (row["epoch_energy_kwh"], row["epoch_co2_kg"]) == (
            row["epoch_total"]["energy_kwh"],
            row["epoch_total"]["co2_kg"],
        )
        result.append(row)
    return result


def stage_sum(found: list[Row], stage: str, epoch: int | None, name: str = "energy_kwh") -> float:
    """Return the sum of all marks of a stage and an epoch."""
    return sum(row[name] for row in found if row["event"] in ADDING and row["stage"] == stage and row["epoch"] == epoch)


def check_divided(trials: int, around: Tracker) -> None:
    """Trials in threads of one process are in its log: inside of what is around them, beside each other, and its parts.

    Args:
        trials: How many there were.
        around: The tracker around them, which has stopped and writes elsewhere.
    """
    check_whole(rows())
    found = by_run(rows())
    assert len(found) == trials
    for run, records in found.items():
        assert {row["parent"] for row in records} == {around.run_id}
        assert all(sorted(row["siblings"]) == sorted({*found} - {run}) for row in epochs(records))
    counted = load("eco2ai.jsonl")
    assert all(run.counts for run in counted)
    used, whole = counted.sum.joules["cpu"], around.total.joules["cpu"]
    # Beside them the process has made the threads and their data; undivided, it would be some four times as much.
    assert 0.3 * whole < used <= 1.001 * whole
