"""Which logs a person means."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from eco2ai_callbacks.report.select import NoLog, selected

OWN = "eco2ai.0123456789abcdef.jsonl"


def names(given: str | Path | Iterable[str | Path]) -> list[str]:
    with selected(given) as selection:
        return [str(log.relative_to(Path.cwd())) for log in selection.logs]


def make(*paths: str) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("{}\n")


def test_a_folder_is_searched_for_logs_and_tables() -> None:
    make("logs/b.jsonl", "logs/deep/a.jsonl", "logs/emissions.csv", "logs/notes.txt")
    assert names("logs") == ["logs/b.jsonl", "logs/deep/a.jsonl", "logs/emissions.csv"]


def test_a_pattern_and_a_file_are_read_once() -> None:
    make("logs/b.jsonl", "logs/a.jsonl")
    assert names(["logs/*.jsonl", "logs/a.jsonl", "./logs/../logs/b.jsonl"]) == ["logs/a.jsonl", "logs/b.jsonl"]


def test_a_writers_own_file_belongs_to_the_log_beside_it() -> None:
    make("eco2ai.jsonl", OWN, "eco2ai.second.jsonl")
    assert names(".") == ["eco2ai.jsonl", "eco2ai.second.jsonl"]
    assert names(OWN) == [OWN]


def test_a_log_may_have_writers_own_files_alone() -> None:
    make(OWN)
    assert names("eco2ai.jsonl") == ["eco2ai.jsonl"]


def test_a_name_may_hold_what_a_pattern_could() -> None:
    make("run[1].jsonl")
    assert names("run[1].jsonl") == ["run[1].jsonl"]


@pytest.mark.parametrize("path", ["nowhere.jsonl", "*.jsonl", "**.jsonl", "", "folder", "memory://nowhere/x.jsonl"])
def test_what_is_no_log_is_one_sentence(path: str) -> None:
    Path("folder").mkdir()
    if "://" in path:
        pytest.importorskip("fsspec")
    with pytest.raises(NoLog, match=r"^LOG='.*' is .*; accepted is .*\.$"), selected(path or "/dev/null"):
        pass


def test_logs_of_another_file_system_are_copied_for_the_time_of_reading() -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for name in ("a.jsonl", "deep/b.jsonl", "c.txt", "../../evil.jsonl"):
        memory.pipe(f"/bucket/{name}", b"{}\n")
    with selected("memory://bucket") as selection:
        assert selection.names[1:] == ("memory://bucket/a.jsonl", "memory://bucket/deep/b.jsonl")
        assert all(log.read_text() == "{}\n" for log in selection.logs)
        # A name that leads upwards elsewhere does not here.
        assert len({log.parents[1] for log in selection.logs}) == 1
    assert not any(log.exists() for log in selection.logs)
    with selected(["memory://bucket/*.jsonl"]) as selection:
        assert len(selection.logs) == 1
    make("here.jsonl")
    with selected(f"file://{Path.cwd()}/here.jsonl") as selection:
        assert selection.logs[0].name == "here.jsonl"


def test_an_address_without_the_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(NoLog, match=r'pip install "eco2ai_callbacks\[remote\]"'), selected("s3://bucket/logs"):
        pass


@pytest.mark.parametrize("address", ["nonsense://x", "s3://bucket/logs"])
def test_an_address_that_cannot_be_read_is_one_sentence(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(NoLog, match=r"^LOG=.*(needs one more package|cannot be read)"), selected(address):
        pass
