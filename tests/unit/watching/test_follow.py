"""The new lines of a log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from long_logs import count_blocks

from eco2ai_callbacks.watching import follow
from eco2ai_callbacks.watching.follow import Follower

LOG = Path("eco2ai.jsonl")


@pytest.fixture
def follower() -> Iterator[Follower]:
    found = Follower(LOG)
    yield found
    found.close()


def append(text: str, log: Path = LOG) -> None:
    with log.open("a") as file:
        file.write(text)


def test_each_line_comes_once_and_only_when_it_is_whole(follower: Follower) -> None:
    assert follower.read() == []
    append("one\ntw")
    assert follower.read() == [b"one"]
    assert follower.read() == []
    append("o\n\nthree\n")
    assert follower.read() == [b"two", b"", b"three"]


def test_a_look_reads_what_is_new_and_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    append("x" * 999 + "\n")
    sizes = count_blocks(monkeypatch)
    follower = Follower(LOG)
    assert len(follower.read()) == 1
    for _ in range(20):
        assert follower.read() == []
    append("y" * 99 + "\n")
    assert len(follower.read()) == 1
    follower.close()
    # At each look a few bytes before the position are compared.
    assert sum(sizes) <= 1100 + 22 * follow._MARK


def test_of_a_long_log_only_the_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "FIRST_BYTES", 25)
    append("".join(f"line {number}\n" for number in range(1000, 1100)))
    sizes = count_blocks(monkeypatch)
    follower = Follower(LOG)
    # The first of these 25 bytes are the end of a line whose begin was not read.
    assert follower.read() == [b"line 1098", b"line 1099"]
    follower.close()
    assert sum(sizes) == 25


def test_a_log_that_is_renamed_and_begun_anew_is_followed(follower: Follower) -> None:
    append("one\n")
    assert follower.read() == [b"one"]
    LOG.rename("eco2ai.jsonl.1")
    append("two\n", Path("eco2ai.jsonl.1"))
    assert follower.read() == [b"two"]
    append("three\n", Path("eco2ai.jsonl.1"))
    append("four\n")
    assert follower.read() == [b"three", b"four"]
    append("five\n")
    assert follower.read() == [b"five"]


def test_a_log_that_is_cut_off_is_read_from_its_new_begin(follower: Follower) -> None:
    append("one\ntwo\nthr")
    assert follower.read() == [b"one", b"two"]
    LOG.write_text("")
    assert follower.read() == []
    append("four\n")
    assert follower.read() == [b"four"]


def test_a_log_that_is_cut_off_and_has_grown_beyond_is_noticed(follower: Follower) -> None:
    append("one\n")
    assert follower.read() == [b"one"]
    with LOG.open("r+") as file:
        file.truncate(0)
    append("another one\nand more\n")
    assert follower.read() == [b"another one", b"and more"]


def test_files_of_single_writers_belong_to_the_log(follower: Follower) -> None:
    append("one\n")
    assert follower.read() == [b"one"]
    append("two\n", Path("eco2ai.0123456789abcdef.jsonl"))
    append("other\n", Path("eco2ai.second.jsonl"))
    assert follower.read() == [b"two"]


def test_a_line_that_is_longer_than_any_record_is_passed_over(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "LONGEST", 10)
    monkeypatch.setattr(follow, "_BLOCK", 8)
    append("x" * 100)
    assert follower.read() == []
    assert sum(len(tail._begin) for tail in follower._tails.values()) <= 18
    append("x\nnext\n")
    assert follower.read() == [b"next"]
