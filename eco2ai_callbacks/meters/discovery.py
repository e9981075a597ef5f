"""Find the meters that work on this machine, and the reasons why the others are not used."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.meters import openers, sensed
from eco2ai_callbacks.meters.candidate import Candidate, MeterContext, Opened
from eco2ai_callbacks.meters.cpu.sources import unseen
from eco2ai_callbacks.meters.gpu.unsupported import unsupported
from eco2ai_callbacks.meters.meter import Device, Meter
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.usage import component_of

__all__ = ["CANDIDATES", "Candidate", "Discovery", "MeterContext", "Opened", "Source", "Status", "discover"]

# used: its figures count. displaced: another source or a setting takes its place. unavailable: it cannot be used here.
# failed: opening it raised an unexpected error.
Status = Literal["used", "displaced", "unavailable", "failed"]


@dataclass(frozen=True, slots=True)
class Source:
    """One source of energy figures, as ``doctor`` and the ``start`` record show it.

    Args:
        name: ``RAPL``, ``NVML``, ``CPU model``, ``RAM model``.
        status: Whether it is used, and if not, what kind of reason there is.
        reason: What it reads, or why it is not used; text for people, which no code reads.
        hint: What would enable it.
        methods: The method of each channel, where it is used.
        covers: The components that its figures include.
        devices: The devices that it reads.
        measured: Those of its methods that read hardware; the others are estimates.
    """

    name: str
    status: Status
    reason: str
    hint: str | None = None
    methods: Mapping[str, str] | None = None
    covers: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    measured: tuple[str, ...] = ()

    @property
    def used(self) -> bool:
        """Whether its figures count."""
        return self.status == "used"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a record."""
        return {
            "name": self.name,
            "used": self.used,
            "reason": self.reason,
            "methods": self.methods and dict(self.methods),
            "covers": list(self.covers),
            "status": self.status,
            "measured": list(self.measured),
            "devices": [device.to_dict() for device in self.devices],
        }


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a machine offers: open meters, all sources with their reasons, and hardware that no meter reads."""

    meters: tuple[Meter, ...]
    sources: tuple[Source, ...]
    not_covered: tuple[str, ...]

    def counted(self, channels: Collection[str]) -> list[Source]:
        """Return the sources; those whose channels are all counted by other ranks are marked as not used.

        Args:
            channels: The channels that are counted here.
        """
        return [
            replace(source, status="displaced", reason="not needed: a lower rank of this host counts it")
            if source.used and source.methods and source.methods.keys().isdisjoint(channels)
            else source
            for source in self.sources
        ]


# The best source of a domain comes first. A new meter is one more line.
CANDIDATES: tuple[Candidate, ...] = (
    Candidate("NVML", frozenset({"gpu:nvidia"}), openers.open_nvml),
    Candidate("AMD SMI", frozenset({"gpu:amd"}), sensed.open_amdsmi, sensed.has_amdsmi),
    Candidate("amdgpu", frozenset({"gpu:amd"}), sensed.open_amd, sensed.has_amd),
    Candidate("Intel GPU", frozenset({"gpu:intel"}), sensed.open_intel, sensed.has_intel),
    Candidate("Jetson", frozenset({"gpu:nvidia"}), sensed.open_jetson, sensed.has_jetson),
    Candidate("IOReport", frozenset({"gpu:apple", "cpu"}), sensed.open_apple, sensed.has_apple),
    Candidate("RAPL", frozenset({"cpu"}), openers.open_rapl),
    Candidate("perf", frozenset({"cpu"}), sensed.open_perf, sensed.has_perf),
    Candidate("amd_energy", frozenset({"cpu"}), sensed.open_amd_energy, sensed.has_amd_energy),
    Candidate("zeusd", frozenset({"cpu"}), sensed.open_zeusd, sensed.has_zeusd),
    Candidate("EMI", frozenset({"cpu"}), sensed.open_emi, sensed.has_emi),
    Candidate("Grace", frozenset({"cpu"}), sensed.open_grace, sensed.has_grace),
    Candidate("Jetson CPU", frozenset({"cpu"}), sensed.open_jetson_cpu, sensed.has_jetson),
    Candidate("Raspberry Pi PMIC", frozenset({"cpu"}), sensed.open_pmic, sensed.has_pmic),
    Candidate("CPU model", frozenset({"cpu"}), openers.open_cpu_model),
    Candidate("RAM model", frozenset({"ram"}), openers.open_ram_model),
    Candidate("node sensors", frozenset({"node"}), sensed.name_node_sensors, sensed.has_node_sensors),
)


def discover(
    settings: Settings,
    context: MeterContext,
    guard: Guard | None = None,
    candidates: Iterable[Candidate] = CANDIDATES,
) -> Discovery:
    """Open the best source of each domain; no other source counts what that one covers.

    A source that fails unexpectedly is reported as failed, and the others are opened all the same. Where anything
    else is raised (a keyboard interrupt), all meters that are open are closed.

    Args:
        settings: The settings in force.
        context: The machine and the job.
        guard: Records failures.
        candidates: The sources to try, the best of a domain first.
    """
    guard = guard or Guard()
    with contextlib.ExitStack() as opened:
        search = _Search(settings, context, opened)
        for candidate in candidates:
            outcome = guard.attempt(candidate.name, partial(search.open, candidate))
            if outcome.failure is not None:
                search.sources.append(Source(candidate.name, "failed", outcome.failure))
        nothing: tuple[str, ...] = ()
        not_covered = guard.call(
            "accelerators", lambda: unsupported(context.root, covered=search.covered.keys()), nothing
        )
        not_covered += unseen(context.host, settings.scope)
        found = Discovery(tuple(search.meters), tuple(search.sources), not_covered)
        opened.pop_all()
    return found


class _Search:
    """The meters and sources that were found so far, and the source that covers each domain."""

    def __init__(self, settings: Settings, context: MeterContext, opened: contextlib.ExitStack) -> None:
        self._settings = settings
        self._context = context
        self._opened = opened
        self.meters: list[Meter] = []
        self.sources: list[Source] = []
        self.covered: dict[str, str] = {}

    def open(self, candidate: Candidate) -> None:
        """Open a source, unless another one covers one of its domains, or the machine has nothing of the kind."""
        if not candidate.present(self._context):
            return
        displacing = sorted({self.covered[domain] for domain in candidate.domains & self.covered.keys()})
        if displacing:
            reason = f"not needed: {' and '.join(displacing)} covers it"
            self.sources.append(Source(candidate.name, "displaced", reason))
            return
        try:
            for meter, detail in candidate.open(self._settings, self._context):
                self._add(candidate, meter, detail)
        except MeterUnavailable as why:
            status: Status = "unavailable" if why.wanted else "displaced"
            self.sources.append(Source(candidate.name, status, why.reason, why.hint))

    def _add(self, candidate: Candidate, meter: Meter, detail: str) -> None:
        with contextlib.ExitStack() as unless_used:
            unless_used.callback(meter.close)
            domains = _domains(candidate, meter)
            if already := sorted(domains & self.covered.keys()):
                reason = f"not needed: {self.covered[already[0]]} covers {component_of(already[0])}"
                self.sources.append(Source(candidate.name, "displaced", reason))
                return
            source = _used(candidate.name, meter, detail)
            self._opened.enter_context(unless_used.pop_all())
        self.covered.update(dict.fromkeys(domains, candidate.name))
        self.meters.append(meter)
        self.sources.append(source)


def _domains(candidate: Candidate, meter: Meter) -> frozenset[str]:
    """Return the domains of a meter's components: the candidate's own where it names any, else the component."""
    domains: set[str] = set()
    for component in meter.covers:
        own = {domain for domain in candidate.domains if component_of(domain) == component}
        domains |= own or {component}
    return frozenset(domains)


def _used(name: str, meter: Meter, detail: str) -> Source:
    methods = meter.methods
    return Source(
        name,
        "used",
        detail,
        methods={channel: method.name for channel, method in methods.items()},
        covers=tuple(sorted(meter.covers)),
        devices=tuple(meter.devices),
        measured=tuple(sorted({method.name for method in methods.values() if method.measured})),
    )
