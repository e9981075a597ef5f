"""Read energy of CPUs and memory from the processor's counters (RAPL), in Linux's powercap tree."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu.counters import Counter, Counters
from eco2ai_callbacks.meters.cpu.failures import ZoneFailures
from eco2ai_callbacks.meters.cpu.floor import IdleFloor
from eco2ai_callbacks.meters.cpu.model_check import ModelCheck
from eco2ai_callbacks.meters.cpu.powercap import DRAM, PACKAGE, Zone, describe, locate
from eco2ai_callbacks.meters.cpu.steps import UJ_PER_J
from eco2ai_callbacks.meters.meter import Device, MachineCpu
from eco2ai_callbacks.usage import Method

_AMD = ("AuthenticAMD", "HygonGenuine")

# A guest's counter may be the host's, of which the guest is a part, or the hypervisor's reckoning of the guest's part
# (QEMU since 9.1), which leaves out what the host does for it. This project's figures for both.
_GUEST_BAND = (1 / 3, 1.5)

# A model's part of the energy below which the counters' band and name stand: it moves a band of 5 % by half a percent.
_SMALL_PART = 0.01


class RaplCpu:
    """The energy of all processor packages of the machine.

    Where a counter cannot be read, a model of the machine takes its place: with its part of the packages, so that
    nothing counts twice. Where the counter then tells the energy of that time after all, what the model has counted is
    taken off it. Otherwise the model's figure stands, as it does for each gap that a counter leaves.

    Args:
        counters: The packages' counters.
        method: Their accuracy.
        floor: Splits off the idle energy; without one all is active.
        model: The model; it must cover what the counters cover.
        name: The source's name.

    Attributes:
        left_out: The counters of the memory, with the reason, where none of them is used.
    """

    covers: frozenset[str] = frozenset({"cpu"})

    def __init__(
        self,
        counters: Counters,
        method: Method,
        floor: IdleFloor | None = None,
        model: MachineCpu | None = None,
        name: str = "RAPL",
    ) -> None:
        self.name = name
        self._counters = counters
        self._method = method
        self._model = model
        # What the model computes while a counter does not move: counted only once that is known to be a failure.
        self._owed: dict[Counter, tuple[float, float]] = {}
        # What the model has counted in place of a counter that may still tell it, and what is to be taken off.
        self._advanced_j: dict[Counter, float] = {}
        self._debt_j = 0.0
        self._read_j = self._modelled_j = 0.0
        self._check = None if model is None else ModelCheck(model)
        self.floor = floor
        self.left_out = ""

    @property
    def max_gap_s(self) -> float:
        """The longest that the counters may go unread, in seconds; where one cannot be read, the model's as well.

        The model's windows begin where a counter is lost: as long as all of them count, its figure is not used.
        """
        gap_s = self._counters.max_gap_s
        if self._model is None or not self._counters.absent_share:
            return gap_s
        return min(gap_s, self._model.max_gap_s)

    @property
    def method(self) -> Method:
        """The method now: the counters', the model's that has taken over, or the name and band of both."""
        if self._model is None:
            return self._method
        part = self._counters.absent_share or self._modelled_j / max(self._modelled_j + self._read_j, 1.0)
        if part < _SMALL_PART:
            return self._method
        counted, modelled = self._method, self._model.method
        if part == 1.0:
            return modelled
        return Method(
            f"{counted.name}+{modelled.name}",
            (1 - part) * counted.low + part * modelled.low,
            (1 - part) * counted.high + part * modelled.high,
            edge_j=part * modelled.edge_j,
            counter=counted.counter and part < 0.5,
            note=counted.note,
        )

    @property
    def model_check(self) -> Mapping[str, Any] | None:
        """Joules by the counters and by the model in the same time; ``None`` where there is no model, or no time."""
        return None if self._check is None else self._check.facts

    @property
    def failures(self) -> tuple[str, ...]:
        """Gaps, failed reads and lost packages, each reported once."""
        return self._counters.failures.sentences

    def interval(self, busy_s: float, seconds: float) -> tuple[float, float]:
        """Return the active and idle joules of the packages since the last call.

        A package that cannot be read has the model's figure; without a model, it adds nothing until it is read again,
        and ``OSError`` is raised once no package is left.

        Args:
            busy_s: Busy core-seconds of the machine since the last call.
            seconds: Seconds since then.
        """
        read_j = self._counters.read_uj(min(busy_s, seconds)) / UJ_PER_J
        self._read_j += read_j
        if self._check is not None and seconds > 0:
            whole, lost = self._counters.whole, self._counters.absent_share > 0
            self._check.add(read_j, busy_s, seconds, whole=whole, lost=lost)
        more_active_j = more_idle_j = 0.0
        if self._model is not None and seconds > 0:
            more_active_j, more_idle_j = self._substituted(*self._model.interval(busy_s, seconds))
            settled_j = min(read_j, self._debt_j)
            read_j, self._debt_j = read_j - settled_j, self._debt_j - settled_j
            self._modelled_j += more_active_j + more_idle_j - settled_j
        active_j, idle_j = read_j, 0.0
        if self.floor is not None:
            part = 1 - self._counters.absent_share
            active_j, idle_j = self.floor.split(read_j, busy_s, seconds, part, learn=self._counters.whole)
        return active_j + more_active_j, idle_j + more_idle_j

    def _substituted(self, active_j: float, idle_j: float) -> tuple[float, float]:
        """Return the active and idle joules that the model counts in place of counters, of those it has computed."""
        counters = self._counters.all
        due_active_j = due_idle_j = 0.0
        for counter in counters:
            owed_active_j, owed_idle_j = self._owed.pop(counter, (0.0, 0.0))
            owed_active_j, owed_idle_j = owed_active_j + active_j / len(counters), owed_idle_j + idle_j / len(counters)
            if counter.outcome == "counted":
                self._debt_j += self._advanced_j.pop(counter, 0.0)
                continue
            if counter.outcome == "open" and not counter.missed:
                self._owed[counter] = owed_active_j, owed_idle_j
                continue
            advanced_j = self._advanced_j.pop(counter, 0.0) + owed_active_j + owed_idle_j
            if counter.outcome == "open":
                self._advanced_j[counter] = advanced_j
            due_active_j, due_idle_j = due_active_j + owed_active_j, due_idle_j + owed_idle_j
        return due_active_j, due_idle_j

    def close(self) -> None:
        """Do nothing: nothing is held between reads."""


class RaplDram:
    """The energy of the machine's memory, where the processor counts it.

    Args:
        counters: The counters of the packages' memory.
        name: The source's name.
        method: The method's name.
    """

    covers: frozenset[str] = frozenset({"ram"})
    devices: tuple[Device, ...] = ()

    def __init__(self, counters: Counters, name: str = "RAPL", method: str = "rapl") -> None:
        self.name = name
        # The error is a constant that differs between machines and matters most at idle (Desrochers, Paradis and
        # Weaver, MEMSYS 2016); 20 % is this project's figure for it.
        self.methods: Mapping[str, Method] = {"ram": Method(method, 0.8, 1.2, counter=True)}
        self._counters = counters
        self._energy_uj = 0
        self.max_gap_s: float = counters.max_gap_s

    @property
    def failures(self) -> tuple[str, ...]:
        """Gaps, failed reads and lost zones, each reported once."""
        return self._counters.failures.sentences

    def read(self) -> Mapping[str, float]:
        """Return the joules of the memory since it was opened; nothing before its counters have moved.

        Raises ``OSError`` once no zone is left, or where none moves.
        """
        self._energy_uj += self._counters.read_uj()
        return {"ram": self._energy_uj / UJ_PER_J} if self._energy_uj else {}

    def close(self) -> None:
        """Do nothing: nothing is held between reads."""


def open_rapl(
    root: Path,
    host: Host,
    clock: Callable[[], float] = time.monotonic,
    boottime: Callable[[], float] | None = None,
    *,
    floor: IdleFloor | None = None,
    model: MachineCpu | None = None,
) -> tuple[RaplCpu, RaplDram | None]:
    """Open the energy counters of the machine's packages, and of their memory where they have one.

    Raises ``MeterUnavailable`` where the counters are absent or unreadable, with the commands that would enable them.

    Args:
        root: The powercap tree: its class folder, or the devices folder that a container mounts.
        host: The machine.
        clock: Monotonic seconds.
        boottime: Seconds that include the time in suspend; the system's clock unless ``clock`` is replaced.
        floor: Splits off the idle energy; without one all of it is active.
        model: A model of the machine that takes the place of lost counters, if it covers the processor alone.

    Example:
        >>> from eco2ai_callbacks.testing import BARE_METAL, Clock, PowercapTree
        >>> tree, clock = PowercapTree(Path("machine")), Clock()
        >>> package = tree.add_package()
        >>> cpu, dram = open_rapl(tree.root, BARE_METAL, clock)
        >>> clock.advance(1.0)
        >>> tree.advance(package, joules=41.5)
        >>> sum(cpu.interval(busy_s=0.0, seconds=1.0))
        41.5
        >>> cpu.close()
    """
    return of_zones(locate(root, host), host, clock, boottime, floor=floor, model=model)


def of_zones(
    zones: Sequence[Zone],
    host: Host,
    clock: Callable[[], float] = time.monotonic,
    boottime: Callable[[], float] | None = None,
    *,
    floor: IdleFloor | None = None,
    model: MachineCpu | None = None,
    name: str = "RAPL",
    method: str = "rapl",
) -> tuple[RaplCpu, RaplDram | None]:
    """Open these counters of packages and memory, whoever shows them; arguments as for :func:`open_rapl`.

    Args:
        zones: The counters, readable or not.
        host: The machine.
        clock: Monotonic seconds.
        boottime: Seconds that include the time in suspend.
        floor: Splits off the idle energy.
        model: Takes the place of lost counters.
        name: The source, as failures begin with it.
        method: The method's name.
    """
    if boottime is None:
        # Elsewhere than in Linux there is no such clock, and the monotonic one goes on in suspend.
        boottime = _boottime if clock is time.monotonic and hasattr(time, "CLOCK_BOOTTIME") else clock

    def slept() -> float:
        return boottime() - clock()

    if model is not None and model.covers != RaplCpu.covers:
        model = None  # its figure holds the memory, which another meter counts
    amd = host.cpu_vendor in _AMD
    substitute = f"the {model.name}" if model else ""
    packages = Counters(
        (zone for zone in zones if zone.name == PACKAGE), amd, clock, slept, substitute, ZoneFailures(name)
    )
    if not packages:
        refused = sorted(packages.refused, key=lambda pair: not isinstance(pair[1], PermissionError))
        zone, error = refused[0]
        raise zone.unreadable(zones, error)
    # AMD's figure is a model in the processor rather than a measurement, so its band is the wider one.
    low, high = _GUEST_BAND if host.virtual else (0.85, 1.15) if amd else (0.95, 1.05)
    memory = Counters((zone for zone in zones if zone.name == DRAM), False, clock, slept, failures=ZoneFailures(name))
    note = "as the hypervisor shows it" if host.virtual else ""
    cpu = RaplCpu(packages, Method(method, low, high, counter=True, note=note), floor, model, name)
    if memory:
        return cpu, RaplDram(memory, name, method)
    cpu.left_out = ", ".join(f"{zone.label} ({describe(error)})" for zone, error in memory.refused)
    return cpu, None


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
