"""Read energy of CPUs and memory from the processor's counters (RAPL), in Linux's powercap tree."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu.counters import UJ_PER_J, Counters
from eco2ai_callbacks.meters.cpu.powercap import DRAM, PACKAGE, locate, unreadable
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.usage import Method

_AMD = ("AuthenticAMD", "HygonGenuine")


class RaplCpu:
    """The energy of all processor packages of the machine, all of it active.

    Args:
        counters: The packages' counters.
        method: Their accuracy.
    """

    name = "RAPL"
    covers = frozenset({"cpu"})

    def __init__(self, counters: Counters, method: Method) -> None:
        self._counters = counters
        self.method = method
        self.max_gap_s = counters.max_gap_s

    @property
    def failures(self) -> tuple[str, ...]:
        """Gaps, failed reads and lost packages, each reported once."""
        return self._counters.failures.sentences

    def interval(self, busy_s: float, seconds: float) -> tuple[float, float]:  # noqa: ARG002 - the protocol's names
        """Return the joules of the packages since the last call, and 0.

        A package that cannot be read adds nothing. What it used meanwhile is counted once it can be read again, if
        that figure is certain. Raises ``OSError`` once no package is left.

        Args:
            busy_s: Not used.
            seconds: Not used.
        """
        return self._counters.read_uj() / UJ_PER_J, 0.0

    def close(self) -> None:
        """Do nothing: nothing is held between reads."""


class RaplDram:
    """The energy of the machine's memory, where the processor counts it.

    Args:
        counters: The counters of the packages' memory.
    """

    name = "RAPL"
    covers = frozenset({"ram"})
    devices: tuple[Device, ...] = ()
    # The error is a constant that differs between machines and matters most at idle (Desrochers, Paradis and Weaver,
    # MEMSYS 2016); 20 % is this project's figure for it.
    methods: Mapping[str, Method] = {"ram": Method("rapl", 0.8, 1.2, counter=True)}

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._energy_uj = 0
        self.max_gap_s = counters.max_gap_s

    @property
    def failures(self) -> tuple[str, ...]:
        """Gaps, failed reads and lost zones, each reported once."""
        return self._counters.failures.sentences

    def read(self) -> Mapping[str, float]:
        """Return the joules of the memory since it was opened; raises ``OSError`` once no zone is left."""
        self._energy_uj += self._counters.read_uj()
        return {"ram": self._energy_uj / UJ_PER_J}

    def close(self) -> None:
        """Do nothing: nothing is held between reads."""


def open_rapl(
    root: Path,
    host: Host,
    clock: Callable[[], float] = time.monotonic,
    boottime: Callable[[], float] | None = None,
) -> tuple[RaplCpu, RaplDram | None]:
    """Open the energy counters of the machine's packages, and of their memory where they have one.

    Raises ``MeterUnavailable`` where the counters are absent or unreadable, with the commands that would enable them.

    Args:
        root: The powercap tree: its class folder, or the devices folder that a container mounts.
        host: The machine.
        clock: Monotonic seconds.
        boottime: Seconds that include the time in suspend; the system's clock unless ``clock`` is replaced.

    Example:
        >>> cpu, dram = open_rapl(Path("/sys/class/powercap"), read_host())  # doctest: +SKIP
        >>> cpu.interval(busy_s=0.0, seconds=1.0)  # doctest: +SKIP
        (41.7, 0.0)
    """
    zones = locate(root, host)
    if boottime is None:
        boottime = _boottime if clock is time.monotonic else clock

    def slept() -> float:
        return boottime() - clock()

    amd = host.cpu_vendor in _AMD
    packages = Counters((zone for zone in zones if zone.name == PACKAGE), amd, clock, slept)
    if not packages:
        refused = sorted(packages.refused, key=lambda pair: not isinstance(pair[1], PermissionError))
        raise unreadable(zones, *refused[0])
    # AMD's figure is a model in the processor rather than a measurement, so its band is the wider one.
    low, high = (0.85, 1.15) if amd else (0.95, 1.05)
    memory = Counters((zone for zone in zones if zone.name == DRAM), False, clock, slept)
    return RaplCpu(packages, Method("rapl", low, high, counter=True)), RaplDram(memory) if memory else None


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
