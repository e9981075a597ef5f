"""The file for node_exporter."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.sinks.prometheus import PrometheusFile, open_prometheus
from eco2ai_callbacks.testing import CLOUD_VM


def record(event: str = "stage", joules: float = 7.2, **fields: Any) -> Record:
    total = {"joules": {"cpu": joules}, "energy_kwh": joules / 3.6e6, "co2_kg": 1e-3, "seconds": 2.0}
    return Record(**{"run": "a", "writer": "w", "event": event, "project": "p", "total": total} | fields)


def test_the_setting_names_the_file(tmp_path: Path) -> None:
    assert open_prometheus(Settings(), CLOUD_VM) is None
    sink = open_prometheus(Settings(prometheus_file=Path("sub/a.prom")), CLOUD_VM)
    assert sink is not None
    sink.write(record("start"))
    assert Path("sub/a.prom").read_text().startswith("# HELP eco2ai_energy_joules_total ")


@pytest.mark.parametrize("event", ["start", "stage", "epoch", "heartbeat", "stop"])
def test_a_mark_and_a_heartbeat_replace_the_file(event: str, tmp_path: Path) -> None:
    path = tmp_path / "a.prom"
    sink = PrometheusFile(path)
    sink.write(record("start", 0.0))
    before = path.stat().st_ino
    sink.write(record(event, 9.5))
    assert path.stat().st_ino != before
    assert 'channel="cpu",component="cpu"} 9.5\n' in path.read_text()
    assert [each.name for each in tmp_path.iterdir()] == ["a.prom"]
    sink.close()


@pytest.mark.parametrize("other", ["metrics", "forecast"])
def test_what_adds_nothing_writes_nothing(other: str, tmp_path: Path) -> None:
    sink = PrometheusFile(tmp_path / "a.prom")
    sink.write(record(other))
    sink.write(dataclasses.replace(record(), total=None))
    assert list(tmp_path.iterdir()) == []


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "a.prom"
    sink = PrometheusFile(path)
    sink.write(record())
    stop, seen = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            seen.append(path.read_text().splitlines()[-1].startswith("eco2ai_run_info{"))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(100):
        sink.write(record(joules=float(number)))
    stop.set()
    reader.join()
    assert seen
    assert all(seen)


def test_ranks_write_beside_each_other(tmp_path: Path) -> None:
    for rank in range(3):
        PrometheusFile(tmp_path / "a.prom").write(record(rank=rank, world_size=3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.prom", "a.rank1.prom", "a.rank2.prom"]


def test_runs_with_one_file_do_not_take_turns_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a.prom"
    one, other = PrometheusFile(path), PrometheusFile(path)
    for sink, run in ((one, "a"), (other, "b/../c"), (one, "a"), (other, "b/../c"), (one, "a")):
        sink.write(record(run=run))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.a.prom", "a.prom"]
    assert 'run="b/../c"' in path.read_text()
    assert 'run="a"' in (tmp_path / "a.a.prom").read_text()
    # The next run takes the name again.
    PrometheusFile(path).write(record(run="d"))
    assert 'run="d"' in path.read_text()


def test_a_file_that_somebody_removes_is_there_again(tmp_path: Path) -> None:
    sink = PrometheusFile(tmp_path / "a.prom")
    sink.write(record())
    (tmp_path / "a.prom").unlink()
    sink.write(record())
    assert [path.name for path in tmp_path.iterdir()] == ["a.prom"]


def test_a_place_that_cannot_be_written_raises_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.prom").mkdir()
    with pytest.raises(OSError, match=r"a\.prom"):
        PrometheusFile(tmp_path / "a.prom").write(record())
    assert [each.name for each in tmp_path.iterdir()] == ["a.prom"]
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        PrometheusFile(tmp_path / "file" / "a.prom").write(record())
