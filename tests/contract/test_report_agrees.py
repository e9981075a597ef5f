"""Report, exports, verification and tracker come to the same figures, whatever was written."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
from sessions import Written

from eco2ai_callbacks.export.forms import FORMS
from eco2ai_callbacks.export.write import export
from eco2ai_callbacks.report.groups import grouped
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.select import selected
from eco2ai_callbacks.runlog.verify import verify

# Of every record that `sessions` writes.
PUE = 1.2
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


def in_duckdb(folder: str) -> Mapping[str, Any] | None:
    """Energy and CO2e by run, as DuckDB adds them up; ``None`` where it is not installed."""
    if not all(map(find_spec, ("duckdb", "pyarrow"))):
        return None
    import duckdb

    with selected(folder) as selection:
        export(selection, FORMS["parquet"], output=Path(folder, "runs.parquet"))
    query = f"SELECT run, SUM(energy_kwh), SUM(co2_kg) FROM '{folder}/runs.parquet' WHERE counts GROUP BY run"
    with duckdb.connect(config={"threads": 1}) as database:
        rows = database.sql(query).fetchall()
    return {run: (energy, co2) for run, energy, co2 in rows if energy is not None}


def in_csv(folder: str) -> float:
    """Energy as eco2AI's CSV holds it, read again by the report."""
    path = Path(folder, "again", "emission.csv")
    path.parent.mkdir()
    with selected(folder) as selection:
        export(selection, FORMS["eco2ai"], output=path)
    again: Runs = load(path)
    return again.sum.energy_kwh or 0.0


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
        parquet = in_duckdb(folder)
        csv = in_csv(folder)
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
    assert csv == pytest.approx((runs.sum.energy_kwh or 0.0) * PUE)
    if parquet is not None:
        assert parquet == {run.id: pytest.approx((run.energy_kwh, run.co2_kg)) for run in runs if run.joules}
    for by in ("project", "run", "stage", "host", "component", "day"):
        rows = grouped(runs, by)
        assert sum(row.sum.energy_kwh or 0.0 for row in rows.rows) == pytest.approx(rows.total.energy_kwh or 0.0)


INNER = st.lists(st.sampled_from([None, "outer", "inner", "elsewhere"]), min_size=1, max_size=3)


@hypothesis.settings(max_examples=10, deadline=None)
@hypothesis.given(parents=INNER, beats=st.booleans(), copies=st.booleans())
def test_runs_inside_others_killed_ones_and_copies_count_once_everywhere(
    parents: list[str | None], beats: bool, copies: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "eco2ai.jsonl")
        Written(log, "outer").stop()
        for parent in parents:
            inner = Written(log, "inner", parent=parent)
            inner.mark()
            inner.heartbeat(1)
            if not beats:
                inner.stop()
        if copies:
            Path(folder, "copy.jsonl").write_bytes(log.read_bytes())
        runs = load(folder)
        parquet = in_duckdb(folder)
        assert in_csv(folder) == pytest.approx(runs.sum.energy_kwh * PUE)
    if parquet is not None:
        assert sum(energy for energy, _ in parquet.values()) == pytest.approx(runs.sum.energy_kwh)
        assert set(parquet) == {run.id for run in runs if run.counts}
