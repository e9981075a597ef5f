"""Count busy core-seconds of the part of a machine that a container may use, whoever of it is busy."""

from __future__ import annotations

from pathlib import Path

from eco2ai_callbacks.host.limits import Limit, limits
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu.busy import BusyTime, MachineBusy


class GroupBusy:
    """Busy core-seconds of a control group and those below it, as the kernel counts them.

    Args:
        file: The group's ``cpu.stat``, with a line ``usage_usec``, or ``cpuacct.usage`` in nanoseconds.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._high = 0.0

    def read(self) -> float:
        """Return the busy core-seconds of the group since it was made."""
        content = self._file.read_text()
        if self._file.name == "cpu.stat":
            fields = dict(line.split() for line in content.splitlines())
            busy = int(fields["usage_usec"]) / 1e6
        else:
            busy = int(content) / 1e9
        self._high = max(self._high, busy)
        return self._high


def part_busy(host: Host, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> BusyTime | None:
    """Return what counts the load of the part of the machine that this process may use.

    That is the busy time of the control group whose quota is the limit, with all processes in it, or that of the
    hardware threads that are. ``None`` where nothing counts it.

    Args:
        host: The machine.
        proc: Where procfs is mounted.
        sys: Where sysfs is mounted.
    """
    if host.lxcfs or host.allowed_threads >= host.threads:
        return MachineBusy(proc)  # all that is seen of the machine is that part
    binding = (limit for limit in limits(proc, sys) if limit.threads == host.allowed_threads)
    return next((busy for limit in binding if (busy := _busy(limit, proc)) is not None), None)


def _busy(limit: Limit, proc: Path) -> BusyTime | None:
    if limit.group is None:
        return MachineBusy(proc, limit.cpus)
    # The older groups have a controller of their own for it, nearly always in the same folder.
    for file in (limit.group / "cpu.stat", limit.group / "cpuacct.usage", *_other_hierarchy(limit.group)):
        busy = GroupBusy(file)
        try:
            busy.read()
        except (OSError, ValueError, KeyError):
            continue
        return busy
    return None


def _other_hierarchy(group: Path) -> tuple[Path, ...]:
    """Return where the older groups count, where that controller is mounted apart from the quota's."""
    parts = group.parts
    if "cpu" not in parts:
        return ()
    at = parts.index("cpu")
    return (Path(*parts[:at], "cpuacct", *parts[at + 1 :], "cpuacct.usage"),)
