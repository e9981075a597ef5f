"""Processes that append to one run log, and are killed while they do."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
from pathlib import Path

import pytest

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.parse import parsed
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.runlog.write import Writer

KILLS = 1000


def record(seq: int = 0, writer: str = "w", **fields: object) -> Record:
    return Record(run="run", writer=writer, seq=seq, event="stage" if seq else "start", **fields)  # type: ignore[arg-type]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


# Libraries that other tests load have threads; these children use nothing of them.
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
class TestProcesses:
    def test_eight_processes_write_whole_lines_into_one_file_while_it_is_read(self, log: Path):
        go_out, go_in = os.pipe()
        children = []
        for number in range(8):
            pid = os.fork()
            if pid == 0:
                try:
                    os.close(go_in)
                    os.read(go_out, 1)
                    writer = Writer(log)
                    for seq in range(200):
                        writer.append(record(seq, f"w{number}", description="x" * (seq % 7) * 1000))
                    os._exit(0)
                finally:
                    os._exit(1)
            children.append(pid)
        os.close(go_out)
        os.close(go_in)
        left = set(children)
        seen = 0
        while left:
            now = len(records(log))
            assert now >= seen
            seen = now
            for pid in list(left):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    assert status == 0
                    left.remove(pid)
        by_writer: dict[object, list[object]] = {}
        lines = log.read_text().split("\n")
        for line in filter(None, lines):
            row = json.loads(line)
            by_writer.setdefault(row["writer"], []).append(row["seq"])
        assert by_writer == {f"w{number}": list(range(200)) for number in range(8)}
        assert verify(log).whole

    @pytest.mark.slow
    def test_a_thousand_kills_leave_no_torn_line_but_the_last_and_lose_no_mark_that_had_returned(self, log: Path):
        chance = random.Random(7)
        read_from = 0
        for number in range(KILLS):
            told, telling = os.pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    writer = Writer(log)
                    for seq in itertools.count():
                        writer.append(record(seq, f"w{number}", description="x" * 6000))
                        os.write(telling, b".")
                finally:
                    os._exit(1)
            os.close(telling)
            returned = len(os.read(told, 1 + chance.randrange(4)))
            for _ in range(chance.randrange(3000)):
                pass
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            while dots := os.read(told, 4096):
                returned += len(dots)
            os.close(told)
            with log.open("rb") as file:
                file.seek(read_from)
                data = file.read()
            read_from += len(data)
            # Behind a torn line the next writer puts a newline first.
            *lines, rest = data.removeprefix(b"\n").split(b"\n")
            assert [json.loads(line)["seq"] for line in lines] == list(range(len(lines)))
            assert len(lines) >= returned
            assert parsed(rest.decode()) is None
        assert len({r.writer for r in records(log)}) == KILLS
