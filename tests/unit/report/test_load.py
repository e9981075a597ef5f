"""Logs as runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from report_logs import later
from sessions import Written

from eco2ai_callbacks.report.counted import CountedRecords
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.select import NoLog, selected
from eco2ai_callbacks.runlog import restore


def session(path: str, run: str, **fields: object) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    written = Written(Path(path), run, **fields)
    written.mark(epoch=0)
    written.stop()


def test_logs_of_many_hosts_are_read_together() -> None:
    for rank in range(3):
        session(f"host{rank}/eco2ai.jsonl", "job", rank=rank, world_size=3, host=f"h{rank}")
    session("host0/other.jsonl", "other")
    runs = load(".")
    assert [run.id for run in runs] == ["job", "other"]
    assert runs["job"].said == "3 ranks"
    assert runs["job"].joules == {"cpu": 3 * 72.0}
    assert runs.records == 12
    assert len(runs.logs) == 4


def test_what_records_say_of_the_run_so_far_is_not_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    session("eco2ai.jsonl", "run")
    worked_out: list[object] = []
    for name in ("full_total", "epoch_total"):
        work = getattr(restore, name)
        monkeypatch.setattr(restore, name, lambda *args, work=work: (worked_out.append(args), work(*args))[1])
    assert load("eco2ai.jsonl")["run"].joules == {"cpu": 72.0}
    assert not worked_out
    with selected("eco2ai.jsonl") as selection:
        records = [each.record for each in CountedRecords(selection)]
    assert worked_out  # once for each record that is handed out whole
    assert records[-1].total is not None


def test_a_backup_counts_once() -> None:
    session("eco2ai.jsonl", "run")
    shutil.copy("eco2ai.jsonl", "backup.jsonl")
    with Path("eco2ai.jsonl").open("a") as file:
        file.write(Path("backup.jsonl").read_text().replace('"writer":"', '"writer":"x'))
    runs = load(".")
    assert (runs.records, runs.copies) == (6, 3)
    assert runs["run"].joules == {"cpu": 144.0}


def test_torn_lines_are_named_and_passed_over() -> None:
    session("eco2ai.jsonl", "run")
    log = Path("eco2ai.jsonl")
    first, second, third = log.read_bytes().splitlines()
    cut = second[: second.index(b"}") + 1]
    log.write_bytes(b"\n".join([first, second[:200], cut, second, third[:100] + b"\0" * 50, b"not ours"]))
    runs = load(log)
    assert runs.torn == (("eco2ai.jsonl", 2), ("eco2ai.jsonl", 3), ("eco2ai.jsonl", 5))
    assert runs["run"].joules == {"cpu": 36.0}
    assert runs["run"].states == ("unfinished",)


def test_torn_lines_without_end_are_not_all_named() -> None:
    log = Path("eco2ai.jsonl")
    log.write_text("")
    session("eco2ai.jsonl", "run")
    with log.open("a") as file:
        file.write('{"schema":1,"run":"r\n' * 1500)
    assert len(load(log).torn) == 1000


def test_a_file_without_a_record_is_named() -> None:
    session("eco2ai.jsonl", "run")
    Path("notes.jsonl").write_text('{"a": 1}\n')
    Path("table.csv").write_text("a,b\n1,2\n")
    Path("empty.jsonl").write_text("")
    runs = load(".")
    assert runs.foreign == ("notes.jsonl", "table.csv")
    assert runs.logs == ("eco2ai.jsonl", "empty.jsonl")
    with pytest.raises(NoLog, match="no line of it is a record"):
        load("notes.jsonl")


def test_progress_adds_up_to_the_bytes() -> None:
    session("a.jsonl", "run")
    session("b.jsonl", "other")
    seen: list[int] = []
    load(".", progress=seen.append)
    assert sum(seen) == sum(path.stat().st_size for path in Path().glob("*.jsonl"))


def test_a_log_that_is_empty_has_no_runs() -> None:
    Path("eco2ai.jsonl").write_text("")
    runs = load("eco2ai.jsonl")
    assert len(runs) == 0
    assert runs.sum.energy_kwh is None


def test_lines_of_a_schema_that_is_not_known_are_named_and_not_counted() -> None:
    session("eco2ai.jsonl", "run")
    later()
    runs = load(".")
    assert [run.id for run in runs] == ["run"]
    assert runs.records == 3
    ((name, unread),) = runs.unread
    assert (name, unread.schema, unread.line, unread.lines) == ("eco2ai.jsonl", 9, 4, 6)
    assert str(unread).startswith("line 4 has schema 9, which this version does not know (it reads 1 to 2)")
    assert runs.torn == runs.foreign == ()
    with selected("eco2ai.jsonl") as selection:
        assert {each.record.run for each in CountedRecords(selection)} == {"run"}


def test_a_log_of_a_later_version_is_no_foreign_file() -> None:
    later()
    with pytest.raises(NoLog, match=r"line 1 has schema 9, which this version does not know.*it and 5 more are left"):
        load("eco2ai.jsonl")
    session("known.jsonl", "run")
    runs = load(".")
    assert (len(runs), runs.foreign) == (1, ())


@pytest.mark.parametrize("schema", ["0", "-1", "3", "9" * 30])
def test_a_schema_is_known_or_named(schema: str) -> None:
    later(schema=int(schema))
    session("known.jsonl", "run")
    assert [each.schema for _, each in load(".").unread] == [int(schema)]


def test_schemas_without_end_are_not_all_named() -> None:
    session("eco2ai.jsonl", "run")
    with Path("eco2ai.jsonl").open("a") as file:
        file.writelines(f'{{"schema":{number}}}\n' for number in range(3, 100))
    assert len(load("eco2ai.jsonl").unread) == 20


def test_progress_is_told_what_was_read() -> None:
    written = Written(Path("eco2ai.jsonl"), "run")
    for epoch in range(2500):
        written.mark(epoch=epoch)
    seen: list[int] = []
    load("eco2ai.jsonl", progress=seen.append)
    size = Path("eco2ai.jsonl").stat().st_size
    assert sum(seen) == size
    assert len(seen) == 2
    assert seen[0] == pytest.approx(size * 2000 / 2501, rel=0.02)
