"""Compiler of ``nvml_stub.c`` to a ``libnvidia-ml.so.1``, and runner of scripts that load it by ``nvidia-ml-py``."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("nvml_stub.c")


def compile_stub(folder: Path) -> Path:
    """Compile the library into ``folder``, for ``LD_LIBRARY_PATH``."""
    compiler = shutil.which("cc")
    assert compiler, "the NVML stub needs a C compiler (cc)"
    library = folder / "libnvidia-ml.so.1"
    command = [compiler, "-std=gnu11", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True)
    return library


@dataclasses.dataclass
class NvmlStub:
    """The values that the library is to return, and the calls that it has received.

    Args:
        library: The folder that holds ``libnvidia-ml.so.1``.
        folder: The folder for its script and its list of calls.
    """

    library: Path
    folder: Path
    lines: list[str] = dataclasses.field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a process that is to find the library; other variables that choose GPUs are dropped."""
        script = self.folder / "nvml.tsv"
        script.write_text("\n".join([*self.lines, f"calls\t{self.folder / 'calls'}", ""]))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CUDA_", "ECO2AI_"))}
        own = {"HOME": str(self.folder), "TMPDIR": str(self.folder)}
        return {**kept, **own, "LD_LIBRARY_PATH": str(self.library), "NVML_STUB": str(script)}

    def without_driver(self) -> dict[str, str]:
        """Return the changes to the environment that hide any library, also on a machine that has one."""
        folder = self.folder / "no-driver"
        folder.mkdir(exist_ok=True)
        (folder / "libnvidia-ml.so.1").touch()
        return {"LD_LIBRARY_PATH": str(folder)}

    def gpu(
        self,
        uuid: str,
        watts: float,
        name: str = "NVIDIA A100-SXM4-80GB",
        *,
        base_mj: int = 123_456_789,
        step_ms: int = 0,
        counter: bool = True,
        power: bool = True,
        mig_slices: int = 0,
        power_factor: float = 1.0,
    ) -> None:
        """Add a board; ``\\xHH`` in its id or its name stands for a byte."""
        values = (uuid, name, watts, base_mj, step_ms, int(counter), int(power), mig_slices, power_factor)
        self._line("gpu", *values)

    def mig(self, board: int, uuid: str, gpu_instance: int, compute_instance: int, slices: int) -> None:
        """Add a slice of a board."""
        self._line("mig", board, uuid, gpu_instance, compute_instance, slices)

    def process(self, uuid: str, pid: int) -> None:
        """Add a process that computes on a board or slice."""
        self._line("process", uuid, pid)

    def shows(self, kind: str, uuid: str, key: int, value: float = 0.0) -> None:
        """Make a board show who keeps it busy, its mode or the power of a domain, as the library's source says."""
        self._line(kind, uuid, key, value)

    def state(
        self,
        uuid: str,
        *,
        load: tuple[int, int] = (100, 50),
        clock_mhz: tuple[int, int] = (1400, 1980),
        celsius: int = 60,
        reasons: int = 0,
        slowed: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Let a board report its load, clock, highest clock, temperature, and by what it is slowed down."""
        self._line("state", uuid, *load, *clock_mhz, celsius, reasons, *slowed)

    def init(self, code: int) -> None:
        """Set the code that the initialisation returns."""
        self._line("init", code)

    def fault(
        self,
        function: str,
        *,
        uuid: str = "*",
        after: int = 0,
        times: int = 1_000_000,
        code: int = 0,
        hang_ms: int = 0,
        value_mj: int = -1,
    ) -> None:
        """Make a function fail, hang or return a scripted value after some calls."""
        self._line("fault", function, uuid, after, times, code, hang_ms, value_mj)

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """Start Python with these arguments, in the folder."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            env={**self.environ, **environ},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, **environ: str) -> Any:
        """Run a script that must print nothing to stderr and warn of nothing; return its last line, read as JSON."""
        out, err = ended(self.start("-W", "error", "-c", script, **environ))
        assert err == ""
        return json.loads(out.splitlines()[-1])

    def calls(self) -> collections.Counter[str]:
        """Return how often each function was called, by any process."""
        return collections.Counter(line.split()[0] for line in self._called())

    def calls_of(self, uuid: str) -> collections.Counter[str]:
        """How often each function was called for one board or slice."""
        return collections.Counter(line.split()[0] for line in self._called() if line.split()[1] == uuid)

    def _called(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def _line(self, *fields: object) -> None:
        self.lines.append("\t".join(map(str, fields)))


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Return the output and the stderr of a process, which must succeed."""
    with process:
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0, err
    return out, err
