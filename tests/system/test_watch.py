"""The commands that read logs while they are written, on a real terminal."""

from __future__ import annotations

import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sessions import Written

pytest.importorskip("rich")
fcntl = pytest.importorskip("fcntl")
pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")

LOG = Path("eco2ai.jsonl")


class Terminal:
    """A terminal with a program in it.

    Args:
        process: The program.
        fd: The terminal's other end.
    """

    def __init__(self, process: subprocess.Popen[bytes], fd: int) -> None:
        self.process = process
        self._fd = fd
        self._seen = b""

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def until(self, is_there: Callable[[str], bool]) -> str:
        """Wait for an output, and return all since the last one."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            text = self._seen.decode("utf-8", "replace")
            if is_there(text):
                self._seen = b""
                return text
            if select.select([self._fd], [], [], 0.1)[0]:
                try:
                    self._seen += os.read(self._fd, 65536)
                except OSError:  # the program has ended
                    self.process.wait(60)
        raise AssertionError(f"the terminal shows {self._seen!r}")


def width_of(text: str) -> int | None:
    """The width of the last frame's upper edge."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    edges = re.findall("╭[^╭╮]*╮", plain)
    return len(edges[-1]) if edges else None


@contextmanager
def terminal(*command: str) -> Iterator[Terminal]:
    mine, its = pty.openpty()
    fcntl.ioctl(mine, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    env = os.environ | {"TERM": "xterm-256color", "PYTHONPATH": os.pathsep.join(sys.path)}
    # Where these are set, they hold whatever size the terminal has.
    for name in ("COLUMNS", "LINES"):
        env.pop(name, None)
    process = subprocess.Popen([sys.executable, *command], stdin=its, stdout=its, stderr=its, env=env)
    os.close(its)
    try:
        yield Terminal(process, mine)
    finally:
        process.kill()
        process.wait()
        os.close(mine)


def test_watch_survives_a_renamed_log_another_size_and_the_end_of_the_run() -> None:
    with terminal("-m", "eco2ai_callbacks", "watch", "--interval", "0.1", "--until-end", "--max-kwh", "1") as shown:
        shown.until(lambda text: "waiting for a run in eco2ai.jsonl" in text)
        written = Written(LOG, description="\x1b[31mred[/]")
        written.mark(metrics={"loss": 0.5})
        text = shown.until(lambda text: "10 mWh" in text and "measured by" in text)
        assert "demo · �[31mred[/]" in text
        assert "loss 0.5" in text
        LOG.rename("eco2ai.jsonl.1")
        written.mark(epoch=1)
        shown.until(lambda text: "20 mWh" in text)
        shown.resize(44)
        shown.until(lambda text: width_of(text) == 44)
        written.stop()
        text = shown.until(lambda text: "\x1b[?1049l" in text and "measured by" in text.split("\x1b[?1049l")[1])
        # What stays is the last frame, no wider than the terminal is now.
        last = text.split("\x1b[?1049l")[1]
        assert "ended: finished" in last
        assert "30 mWh" in last
        assert width_of(last) == 44
        assert shown.process.wait(60) == 0


def test_ctrl_c_leaves_the_terminal_as_it_was() -> None:
    Written(LOG).mark()
    with terminal("-m", "eco2ai_callbacks", "watch", "--interval", "0.1") as shown:
        shown.until(lambda text: "10 mWh" in text)
        shown.process.send_signal(signal.SIGINT)
        text = shown.until(lambda text: "\x1b[?1049l" in text and "measured by" in text.split("\x1b[?1049l")[1])
        assert "\x1b[?25h" in text
        assert "Traceback" not in text
        assert shown.process.wait(60) == 0
