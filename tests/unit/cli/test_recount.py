"""Records that are counted again, as a log: ids, links and sums. Whole logs are in test_recompute.py."""

from __future__ import annotations

import dataclasses

from eco2ai_callbacks.carbon.grid import Grid
from eco2ai_callbacks.carbon.intensity import user
from eco2ai_callbacks.cli.basis import Basis
from eco2ai_callbacks.cli.recount import Recount
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.read import Line

BASIS = Basis(Grid(user(100.0), 1.0, "setting", None), True)
START = Record(run="run", writer="w", event="start", intensity={"g_per_kwh": 50.0}, start="2026-01-01T12:00:00+00:00")


def recount(*runs: str) -> Recount:
    return Recount("a1b2c3", lambda _: BASIS, frozenset(runs), lambda: ("a gap",))


def test_runs_of_the_log_get_new_ids_and_others_keep_theirs() -> None:
    start = dataclasses.replace(START, parent="outer", siblings=("outer", "elsewhere"))
    found = recount("run", "outer").counted(Line(start, "h"))
    assert (found.run, found.parent) == ("run-a1b2c3", "outer-a1b2c3")
    assert found.siblings == ("outer-a1b2c3", "elsewhere")
    assert len(found.writer) == 16
    assert found.failures == ("a gap",)
    assert recount("run").counted(Line(dataclasses.replace(START, parent="outer"), "h")).parent == "outer"


def test_a_long_id_stays_within_what_the_setting_accepts() -> None:
    ids = ["r" * 57, "r" * 63 + "a", "r" * 63 + "b"]
    found = [recount(*ids).counted(Line(dataclasses.replace(START, run=run), "h")).run for run in ids]
    assert max(map(len, found)) <= 64
    assert len(set(found)) == 3


def test_a_link_leads_to_the_new_line_and_stays_where_that_is_elsewhere() -> None:
    found = recount("run")
    first = Line(START, "old hash")
    writer = found.counted(first).writer
    found.written(first, "new hash")
    second = dataclasses.replace(START, writer="v", continues={"writer": "w", "hash": "old hash"})
    assert found.counted(Line(second, "h")).continues == {"writer": writer, "hash": "new hash"}
    lost = dataclasses.replace(START, writer="u", continues={"writer": "gone", "hash": "its hash"})
    assert (found.counted(Line(lost, "h")).continues or {})["hash"] == "its hash"


def test_a_record_without_facts_of_its_factor_gets_those_of_the_new_one() -> None:
    found = recount("run").counted(Line(dataclasses.replace(START, intensity=None), "h"))
    assert (found.intensity or {})["g_per_kwh"] == 100.0
    assert (found.intensity or {})["before"]["g_per_kwh"] is None
