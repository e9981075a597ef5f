"""Estimate the CPU's energy by the power that was measured on this machine once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from eco2ai_callbacks.calibration.fit import CpuFit
from eco2ai_callbacks.calibration.machine import read_machine
from eco2ai_callbacks.calibration.store import Choice, Entry, choose, read
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu.processes import TICK_S
from eco2ai_callbacks.usage import Method

NAME = "CPU model"
# Two lines are not linear in the load where they bend: the load is read as often as for the curve of the CPU model.
WINDOW_S = 5.0
# Processors of one model differ in leakage and cooling. This project's figure for it.
SHARED_FACTOR = 1.15
# In a guest, the counters that it was fit to may be the host's (see ``rapl``).
GUEST_LOW, GUEST_HIGH = 1 / 3, 1.5


class CalibratedModel:
    """The power of this machine's processors over their busy threads.

    Args:
        entry: The calibration; it holds the fit of a CPU.
    """

    name = NAME
    covers: frozenset[str] = frozenset({"cpu"})
    partial = False
    max_gap_s: float = WINDOW_S
    window_s: float = WINDOW_S
    failures: tuple[str, ...] = ()

    def __init__(self, entry: Entry) -> None:
        fit = entry.fit
        assert isinstance(fit, CpuFit)
        self._fit = fit
        self.threads: float = fit.threads
        factor = fit.factor * (SHARED_FACTOR if entry.shared else 1.0)
        guest = (GUEST_LOW, GUEST_HIGH) if entry.machine.virtual else (1.0, 1.0)
        whose = "shared by a machine with this processor" if entry.shared else "on this machine"
        self.detail: str = (
            f"calibrated {whose} on {entry.day.isoformat()}, {fit.points} loads, {fit.error:.0%} mean error of "
            f"those left out"
        )
        steepest_w = max(abs(fit.thread_w), abs(fit.beyond_w))
        self.method: Method = Method(
            "cpu-model:calibrated",
            guest[0] / factor,
            guest[1] * factor,
            edge_j=TICK_S * steepest_w,
            note=f"calibrated {entry.day.isoformat()}",
        )

    def interval(self, busy_s: float, seconds: float) -> tuple[float, float]:
        """Return active and idle joules by the fit, for the mean load of the interval."""
        whole_j = self._fit.watts(busy_s / seconds) * seconds
        idle_j = min(whole_j, self._fit.watts(0.0) * seconds)
        return whole_j - idle_j, idle_j

    def close(self) -> None:
        """Do nothing: nothing is held."""


def choice_for(host: Host, root: Path = Path("/"), files: Iterable[Path] | None = None) -> Choice:
    """Return the calibration of this machine's processors, or why there is none.

    Args:
        host: The machine.
        root: The root of the file system, below which sysfs is mounted.
        files: The stores; the user's and the site's by default.
    """
    # Under lxcfs or in a sandbox the load and the threads are not the machine's, of which a calibration is.
    if host.lxcfs or host.sandbox:
        return Choice()
    found = read(files)
    return choose(found, "cpu", read_machine(host, root / "sys")) if found.entries else Choice()
