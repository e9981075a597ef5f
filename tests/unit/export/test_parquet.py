"""Records as a Parquet file, read by DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_logs import folder, hostile
from sessions import Written

from eco2ai_callbacks.export.forms import FORMS, NotExported
from eco2ai_callbacks.export.write import export
from eco2ai_callbacks.report.groups import grouped
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.select import selected

pq = pytest.importorskip("pyarrow.parquet")
duckdb = pytest.importorskip("duckdb")

FILE = Path("runs.parquet")


def written(*given: str | Path, **options: str) -> None:
    with selected(given) as selection:
        export(selection, FORMS["parquet"], options, output=FILE, force=True)


def asked(query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as database:
        return list(database.sql(query.format(f"read_parquet('{FILE}')")).fetchall())


def test_a_sum_over_what_counts_is_the_reports() -> None:
    folder()
    Written(Path("logs/carried.jsonl"), "carried", carried={"energy_kwh": 1.0, "co2_kg": 0.5, "seconds": 5.0}).stop()
    written("logs")
    runs = load("logs")
    ((energy, co2),) = asked("SELECT SUM(energy_kwh), SUM(co2_kg) FROM {} WHERE counts")
    assert (energy, co2) == (pytest.approx(runs.sum.energy_kwh), pytest.approx(runs.sum.co2_kg))
    by_run = dict(asked("SELECT run, SUM(energy_kwh) FROM {} WHERE counts GROUP BY run"))
    assert by_run == {run.id: pytest.approx(run.energy_kwh) for run in runs if run.counts}
    by_stage = dict(asked("SELECT stage, SUM(energy_kwh) FROM {} WHERE counts AND event <> 'start' GROUP BY stage"))
    rows = {row.keys[0]: row.sum.energy_kwh for row in grouped(runs, "stage").rows if row.keys[0] != "carried"}
    assert by_stage == {name: pytest.approx(energy) for name, energy in rows.items()}
    ((carried,),) = asked("SELECT SUM(carried_kwh) FROM {} WHERE counts")
    assert carried == pytest.approx(1.0)


def test_every_record_is_a_row_and_marks_without_counts_would_be_too_much() -> None:
    folder()
    written("logs")
    runs = load("logs")
    ((rows, alone),) = asked("SELECT COUNT(*), SUM(energy_kwh) FROM {}")
    assert rows == runs.records
    # Without the column the inner run would be added twice.
    assert alone > runs.sum.energy_kwh


def test_columns_have_types_and_their_units() -> None:
    folder()
    written("logs/rank0.jsonl")
    schema = pq.read_schema(FILE)
    kinds = {name: str(schema.field(name).type) for name in ("counts", "epoch", "energy_kwh", "start", "run")}
    assert kinds == {
        **{"counts": "bool", "epoch": "int64", "energy_kwh": "double", "start": "timestamp[us, tz=UTC]"},
        **{"run": "string"},
    }
    assert schema.field("energy_kwh").metadata[b"unit"] == b"kWh"
    assert schema.field("seconds").metadata[b"unit"] == b"s"
    assert all(schema.field(name).metadata[b"description"] for name in schema.names)
    rows = asked("SELECT epoch, stage, metrics, channels[1].method, channels[1].high_j FROM {} WHERE event = 'epoch'")
    assert rows[1] == (1, "train", '{"loss": 0.5, "lr": 0.1}', "cpu-model:vm", 72.0)


@pytest.mark.parametrize("name", ["snappy", "zstd", "gzip", "none"])
def test_the_compression_is_chosen(name: str) -> None:
    Written(Path("a.jsonl")).stop()
    written("a.jsonl", compression=name)
    found = pq.ParquetFile(FILE).metadata.row_group(0).column(1).compression
    assert found.lower() == name.replace("none", "uncompressed")


def test_another_compression_is_refused() -> None:
    Written(Path("a.jsonl")).stop()
    with pytest.raises(NotExported, match=r"^--set compression='lz' is not accepted; accepted: snappy"):
        written("a.jsonl", compression="lz")
    assert not FILE.exists()


def test_long_logs_are_written_in_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Written(Path("a.jsonl"))
    for _ in range(5):
        session.mark()
    monkeypatch.setattr(FORMS["parquet"].load(), "_ROWS", 4)
    written("a.jsonl")
    metadata = pq.ParquetFile(FILE).metadata
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [4, 2]


def test_what_does_harm_elsewhere_is_a_text_here() -> None:
    hostile()
    log = Path("hostile/half.jsonl")
    log.write_bytes(
        b'{"run":"half \\ud800","writer":"w","seq":0,"event":"stop","epoch":10000000000000000000000,"seconds":1.0,'
        b'"joules":{"cpu":1.0},"start":"9999-12-31T23:59:59+14:00","samples":1,"metrics":{"a":"\\ud800"}}\n'
    )
    written("hostile")
    runs = load("hostile")
    ((rows, energy),) = asked("SELECT COUNT(*), SUM(energy_kwh) FILTER (counts) FROM {}")
    assert (rows, energy) == (runs.records, pytest.approx(runs.sum.energy_kwh))
    assert asked("SELECT epoch, start FROM {} WHERE run LIKE 'half%'") == [(None, None)]
    ((projects,),) = asked("SELECT COUNT(DISTINCT project) FROM {} WHERE event = 'start'")
    assert projects >= 8
    # A record of a schema that is not known is none.
    assert asked("SELECT DISTINCT schema FROM {}") == [(2,)]
