"""Report, verification and tracker come to the same figures, whatever was written."""

from __future__ import annotations

import tempfile
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest
from sessions import Written

from eco2ai_callbacks.report.groups import grouped
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.runlog.verify import verify

STEPS = st.lists(st.sampled_from(["epoch", "stage", "validate", "heartbeat", "metrics"]), max_size=6)
SESSION = st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 1), STEPS, st.booleans(), st.booleans())


def write(log: Path, run: str, rank: int, steps: list[str], stops: bool, carries: bool) -> Written:
    carried = {"energy_kwh": 1e-3, "co2_kg": 1e-4, "seconds": 5.0} if carries else None
    written = Written(log, run, carried=carried, rank=rank, world_size=2, host=f"h{rank}")
    for epoch, step in enumerate(steps):
        if step == "heartbeat":
            written.heartbeat(epoch)
        elif step == "metrics":
            written.note(loss=0.5)
        elif step == "validate":
            written.mark("stage", epoch, "validate")
        else:
            written.mark(step, epoch)
    if stops:
        written.stop()
    return written


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(sessions=st.lists(SESSION, min_size=1, max_size=4), split=st.booleans())
def test_report_verify_and_tracker_agree(sessions: list[tuple[str, int, list[str], bool, bool]], split: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        last: dict[tuple[str, int], Written] = {}
        for run, rank, steps, stops, carries in sessions:
            # A log for each rank, as on hosts of their own, or one for all.
            log = Path(folder) / (f"rank{rank}.jsonl" if split else "eco2ai.jsonl")
            last[run, rank] = write(log, run, rank, steps, stops, carries and (run, rank) not in last)
        runs = load(folder)
        checked = verify(sorted(Path(folder).glob("*.jsonl")))
    assert checked.whole, checked.first
    assert {run.id for run in checked.runs} == {run.id for run in runs}
    for run in checked.runs:
        found = runs[run.id].sum
        assert found.energy_kwh == pytest.approx(run.usage.energy_kwh)
        assert found.co2_kg == pytest.approx(run.usage.co2_kg)
        assert found.seconds == pytest.approx(run.usage.seconds)
        if all(writer.state for writer in runs[run.id].writers) and split:
            total = sum(each.ledger.total.energy_kwh or 0.0 for (name, _), each in last.items() if name == run.id)
            assert found.energy_kwh == pytest.approx(total)
    for by in ("project", "run", "stage", "host", "component", "day"):
        rows = grouped(runs, by)
        assert sum(row.sum.energy_kwh or 0.0 for row in rows.rows) == pytest.approx(rows.total.energy_kwh or 0.0)
