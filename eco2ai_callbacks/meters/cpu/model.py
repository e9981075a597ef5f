"""Estimate the CPU's energy where nothing measures it: by its thermal design power, or by watts per thread."""

from __future__ import annotations

import math

from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu import table as cpu_table
from eco2ai_callbacks.meters.cpu.guest import Unit, Vcpu, vcpu_of
from eco2ai_callbacks.meters.cpu.processes import TICK_S
from eco2ai_callbacks.usage import Method

# Fit to public RAPL sweeps of four CPUs, 86 points, root-mean-square error 16 % of TDP: P / TDP = 0.10 + 0.64 u^0.55.
CURVE_IDLE, CURVE_ACTIVE, CURVE_POWER = 0.10, 0.64, 0.55
# The bands of a point, a machine at one constant load, that hold 90 % of the published sweeps' points of machines that
# a form was not fit to (tools/cpu_calibration/compare.py prints them). Those of a run over many loads are narrower.
CURVE_BAND = (0.25, 2.5)
PAPER_BAND = (0.2, 2.5)
# Of a run, a third to double: the spread of watts per thread over 530 servers, which no sweep of theirs refines.
THREAD_BAND = (1 / 3, 2.0)
# Where a guest's thread may be a whole core, it may be two of a chip's hardware threads.
CORE_THREADS = 2
# A concave curve of the mean over idle and load is too high, and by how much depends on the time of the mean: it is
# always this one, in seconds. The load must be read as often.
CURVE_WINDOW_S = 5.0
# eco2AI's own figure for a processor that its table does not hold, in watts (eco2ai 0.3.12).
PAPER_DEFAULT_TDP_W = 100.0
NAME = "CPU model"


class ThreadModel:
    """Watts per hardware thread, linear in the load, so that it may go unread for long.

    The figures are the wall power of whole servers per thread, so they include memory and board.

    Args:
        threads: Hardware threads of the machine.
        family: The watts of this generation of processors.
        kind: ``vm`` in a virtual machine, ``thread`` where a bare machine's processor is in no table.
        unit: Whether a thread is a hardware ``thread`` or a whole ``core``; ``unknown`` widens the band to hold both.
    """

    name = NAME
    covers: frozenset[str] = frozenset({"cpu", "ram"})
    partial = False
    max_gap_s: float = math.inf
    failures: tuple[str, ...] = ()

    def __init__(self, threads: float, family: cpu_table.Family, kind: str, unit: Unit = "thread") -> None:
        self.threads = threads
        times = CORE_THREADS if unit == "core" else 1
        self._idle_w, self._max_w = idle_w, max_w = times * family.idle_w, times * family.max_w
        each = ", each a whole core," if unit == "core" else ""
        doubt = ""
        if unit == "unknown":
            doubt = "; each may be a whole core, which draws twice as much: the band includes that"
        self.detail: str = f"{threads:g} threads{each} at {max_w:g} W busy and {idle_w:g} W idle ({family.name}){doubt}"
        low, high = THREAD_BAND
        self.method: Method = Method(
            f"cpu-model:{kind}",
            low,
            high * (CORE_THREADS if unit == "unknown" else 1),
            edge_j=TICK_S * max_w,
            note=f"{max_w:g} W per busy thread",
        )

    def interval(self, busy_s: float, seconds: float) -> tuple[float, float]:
        """Return active and idle joules: all threads draw idle power, busy ones the difference on top."""
        return busy_s * (self._max_w - self._idle_w), self.threads * self._idle_w * seconds

    def close(self) -> None:
        """Do nothing: nothing is held."""


class CurveModel:
    """Thermal design power times a curve of the load.

    Args:
        tdp_w: Watts of all sockets, or of the part of them that a container may use.
        threads: Hardware threads that this power belongs to.
        what: Where the power comes from, for the records.
        kind: ``bare`` for a machine, ``cgroup`` for a container's part of one, ``vm`` for a guest's by the user's
            figures, ``instance`` for a guest's by its instance type.
        most: Hardware threads of the machine, where this is a part of it. A job may keep more threads busy than it
            seemed to be allowed (a main thread may be bound to one core, and the others not); all of them count.
    """

    name = NAME
    covers: frozenset[str] = frozenset({"cpu"})
    max_gap_s: float = CURVE_WINDOW_S
    window_s: float = CURVE_WINDOW_S
    failures: tuple[str, ...] = ()

    def __init__(self, tdp_w: float, threads: float, what: str, kind: str, most: float | None = None) -> None:
        self._thread_w = tdp_w / threads
        self.threads = threads
        self._most = threads if most is None else most
        # In a container's part of a machine the load is the container's: the host's includes all other containers.
        self.partial: bool = most is not None
        self.detail: str = f"{tdp_w:g} W for {threads:g} threads ({what})"
        self.method: Method = Method(f"cpu-model:{kind}", *CURVE_BAND, edge_j=TICK_S * self._thread_w)

    def interval(self, busy_s: float, seconds: float) -> tuple[float, float]:
        """Return active and idle joules by the curve, for the mean load of the interval."""
        busy = busy_s / seconds
        threads = max(self.threads, min(busy, self._most))
        full_j = self._thread_w * threads * seconds
        return full_j * CURVE_ACTIVE * min(1.0, busy / threads) ** CURVE_POWER, full_j * CURVE_IDLE

    def close(self) -> None:
        """Do nothing: nothing is held."""


class PaperModel:
    """eco2AI's own formula, TDP x utilisation, to compare with published figures.

    Args:
        tdp_w: Watts of all sockets.
        threads: Hardware threads of the machine.
        what: Where the power comes from, for the records.
        low: Lower end of the band.
    """

    name = NAME
    covers: frozenset[str] = frozenset({"cpu"})
    partial = False
    max_gap_s: float = math.inf
    failures: tuple[str, ...] = ()

    def __init__(self, tdp_w: float, threads: float, what: str, low: float = PAPER_BAND[0]) -> None:
        self.threads = threads
        self._thread_w = tdp_w / threads
        self.detail: str = f"{tdp_w:g} W x utilisation of {threads:g} threads ({what})"
        self.method: Method = Method(
            "cpu-model:paper",
            low,
            PAPER_BAND[1],
            edge_j=TICK_S * self._thread_w,
            note=f"{self._thread_w:g} W per busy thread",
        )

    def interval(self, busy_s: float, seconds: float) -> tuple[float, float]:  # noqa: ARG002 - the protocol's
        """Return active joules and no idle ones."""
        return busy_s * self._thread_w, 0.0

    def close(self) -> None:
        """Do nothing: nothing is held."""


CpuModel = ThreadModel | CurveModel | PaperModel


def model_for(
    host: Host,
    *,
    scope: str = "process",
    cpu_model: str = "auto",
    cpu_tdp_w: float | None = None,
    cpu_threads: int | None = None,
    threads_per_core: int | None = None,
) -> CpuModel:
    """Return the model for this machine.

    Args:
        host: The machine.
        scope: ``process`` or ``machine``.
        cpu_model: ``auto``, or ``paper`` for eco2AI's formula.
        cpu_tdp_w: The user's own figure for one processor, in watts.
        cpu_threads: The user's own count of one processor's hardware threads.
        threads_per_core: The threads of each core, as a guest's kernel shows them; ``None`` where it does not.
    """
    known = cpu_table.lookup(host.cpu_name)
    tdp_w, what = _power(known, cpu_tdp_w)
    threads = _threads(host, known, cpu_threads)
    family = cpu_table.family(host.cpu_vendor, host.cpu_family, host.cpu_number, host.cpu_name)
    if cpu_model == "paper":
        chips_w = (tdp_w or PAPER_DEFAULT_TDP_W) * host.sockets
        # A guest is charged for the whole chips below it: the truth may be as low as a thread's own figure.
        own = THREAD_BAND[0] * family.max_w * threads / chips_w
        low = min(PAPER_BAND[0], own) if host.virtual else PAPER_BAND[0]
        return PaperModel(chips_w, threads, what if tdp_w else "eco2AI's figure for any other", low)
    if host.virtual and cpu_tdp_w is not None:
        # The setting describes the chip below: the guest's threads are a part of it. Its number of sockets is virtual.
        chip = cpu_threads or (known.threads if known else None) or host.threads
        return CurveModel(cpu_tdp_w * min(1.0, host.threads / chip), host.threads, what, "vm")
    if host.virtual:
        return _guest(host, known, family, cpu_threads, threads_per_core)
    if tdp_w is None:
        return ThreadModel(threads, family, "thread")
    if (scope == "process" or host.lxcfs) and host.allowed_threads < threads:
        part = host.allowed_threads
        part_w = tdp_w * host.sockets * part / threads
        return CurveModel(part_w, part, f"{what}, {part:g} of {threads:g} threads", "cgroup", threads)
    return CurveModel(tdp_w * host.sockets, threads, what, "bare")


def _guest(
    host: Host,
    known: cpu_table.Cpu | None,
    family: cpu_table.Family,
    cpu_threads: int | None,
    threads_per_core: int | None,
) -> CurveModel | ThreadModel:
    """Return a guest's part of its chip, where chip and part are known, or else watts for each of its threads."""
    vcpu = vcpu_of(host, threads_per_core)
    parts = _parts_of_chip(known, vcpu, cpu_threads)
    if known is None or parts is None:
        return ThreadModel(host.threads, family, "vm", vcpu.unit)
    by = "the setting cpu_threads" if parts == cpu_threads else f"{vcpu.instance}; {vcpu.why}"
    what = f"{known.name}: {known.source}; {host.threads:g} of its {parts:g} vCPUs by {by}"
    # An instance with more threads than its chip has has two chips: the part is not limited to one.
    return CurveModel(known.tdp_w * host.threads / parts, host.threads, what, "instance")


def _parts_of_chip(known: cpu_table.Cpu | None, vcpu: Vcpu, cpu_threads: int | None) -> int | None:
    """Return how many threads like the guest's its chip is divided into; ``None`` where that is not known."""
    if known is None:
        return None
    if cpu_threads is not None and cpu_threads in (known.cores, known.threads):
        return cpu_threads
    if not vcpu.instance:
        return None
    return known.cores if vcpu.unit == "core" else known.threads


def _threads(host: Host, known: cpu_table.Cpu | None, cpu_threads: int | None) -> int:
    """Return the hardware threads of the machine."""
    # Under lxcfs a container lists only the threads that it may use: the chip's number is in the table.
    chip = cpu_threads or (known.threads if known and host.lxcfs else None)
    return chip * host.sockets if chip else host.threads


def _power(known: cpu_table.Cpu | None, cpu_tdp_w: float | None) -> tuple[float | None, str]:
    if cpu_tdp_w is not None:
        return cpu_tdp_w, "the setting cpu_tdp_w"
    return (known.tdp_w, f"{known.name}: {known.source}") if known else (None, "")
