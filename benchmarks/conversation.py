"""The benchmark's side of the conversation with a probe: a process that waits for its turn."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

PROBES = Path(__file__).with_name("probes")
# A tracker that needs longer for one turn than it was given, and this much more, is stuck.
GRACE_S = 60.0


class ProbeError(Exception):
    """A probe whose tracker failed; the message is the tracker's own."""


class Probe:
    """One process that runs one tracker in its own environment, in a folder of its own or a given one.

    Args:
        script: Name of the file in ``benchmarks/probes``.
        python: Interpreter of the tracker's environment.
        tracker: Module in ``benchmarks/probes/trackers``.
        folder: Where the tracker writes; a temporary one by default.
    """

    def __init__(self, script: str, python: str, tracker: str, folder: Path | None = None) -> None:
        self._temporary = None if folder else tempfile.mkdtemp(prefix="benchmark-")
        self.folder = folder or Path(str(self._temporary))
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
        self._process = subprocess.Popen(
            [python, str(PROBES / script), tracker, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environ(),
        )

    def send(self, **turn: Any) -> None:
        """Give the probe its turn."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(turn).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ProbeError(self._last_words()) from None

    def receive(self, seconds: float = 0.0, *, grace_s: float = GRACE_S) -> dict[str, Any]:
        """Return the answer to the last turn.

        Args:
            seconds: Time that the turn was given.
            grace_s: How much longer to wait.

        Raises:
            ProbeError: The tracker failed, ended, or did not answer.
        """
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds + grace_s)
        if not ready:
            raise ProbeError("no answer in time")
        line = self._process.stdout.readline()
        if not line:
            raise ProbeError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ProbeError(str(answer["error"]))
        return answer

    def ask(self, seconds: float = 0.0, /, **turn: Any) -> dict[str, Any]:
        """Give the probe its turn and return its answer."""
        self.send(**turn)
        return self.receive(seconds)

    def kill(self) -> None:
        """End the process by SIGKILL, with nothing for the tracker to notice."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _last_words(self) -> str:
        code = self._process.wait(GRACE_S)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"ended with exit code {code}" + (f": {lines[-1]}" if lines else "")


def _environ() -> dict[str, str]:
    """The environment of a probe: nothing of this process's Python, and no message to a server."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ECO2AI_", "CODECARBON_"))
    }
    return {**kept, "DO_NOT_TRACK": "1"}
