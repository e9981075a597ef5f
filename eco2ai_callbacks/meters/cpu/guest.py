"""Whether a thread of a virtual machine is a hardware thread or a whole core, by what its firmware names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from eco2ai_callbacks.host.machine import Host

Unit = Literal["thread", "core", "unknown"]


@dataclass(frozen=True, slots=True)
class Vcpu:
    """What a guest's thread is.

    Args:
        unit: A hardware ``thread``, a whole ``core``, or ``unknown``.
        why: Where that comes from, in one clause.
        instance: The cloud's instance type, where the firmware names one.
    """

    unit: Unit
    why: str
    instance: str = ""


@dataclass(frozen=True, slots=True)
class InstanceFamily:
    """A family of instance types whose threads are whole cores.

    Args:
        pattern: What the types' names begin with.
        unit: What their threads are.
        source: Where that is published.
    """

    pattern: re.Pattern[str]
    unit: Unit
    source: str


_EC2 = "Amazon EC2 User Guide, CPU options for Amazon EC2 instances"
# Graviton's families are not listed here: they are ARM, whose servers have one thread a core.
FAMILIES = (InstanceFamily(re.compile(r"[cmr]7a\."), "core", f"{_EC2}: C7a, M7a and R7a have one thread per core"),)
_AMAZON = re.compile(r"^Amazon EC2 ([a-z][a-z0-9-]*\.[a-z0-9-]+)$")
_GOOGLE = re.compile(r"^Google\b")


def vcpu_of(host: Host, threads_per_core: int | None = None) -> Vcpu:
    """Return what a thread of this guest is.

    Most hypervisors show one thread per core whatever lies below. Amazon's and Google's are published to show what is
    there.

    Args:
        host: The guest.
        threads_per_core: The threads of each core, as the guest's kernel shows them; ``None`` where it does not.

    Example:
        >>> from eco2ai_callbacks.testing import CLOUD_VM
        >>> vcpu_of(CLOUD_VM).unit
        'unknown'
    """
    found = _AMAZON.match(host.vendor)
    instance = found[1] if found else ""
    if host.cpu_vendor in ("ARM", "Apple"):
        return Vcpu("thread", "ARM: one thread a core", instance)
    for family in FAMILIES:
        if family.pattern.match(instance):
            return Vcpu(family.unit, family.source, instance)
    if threads_per_core is not None and threads_per_core > 1:
        return Vcpu("thread", f"{threads_per_core} threads a core are shown", instance)
    if instance:
        if threads_per_core == 1:
            return Vcpu("core", f"{_EC2}: one thread per core is shown where multithreading is off", instance)
        return Vcpu("thread", f"{_EC2}: a vCPU of other families is a thread of a core", instance)
    # With a single thread there is no other core to be shown: it may be half of one.
    if _GOOGLE.match(host.vendor) and threads_per_core == 1 and host.threads > 1:
        return Vcpu("core", "Compute Engine, CPU platforms: vCPUs that are shown as several cores never share one")
    return Vcpu("unknown", "a thread or a whole core: the platform does not say which")


def shown_threads_per_core(sys: Path = Path("/sys")) -> int | None:
    """Return how many threads of a core the kernel shows; ``None`` where it shows none.

    Args:
        sys: Mount point of sysfs.
    """
    try:
        text = (sys / "devices/system/cpu/cpu0/topology/thread_siblings_list").read_text(encoding="ascii")
        spans = [span.partition("-") for span in text.strip().split(",")]
        return sum(int(last or first) - int(first) + 1 for first, _, last in spans) or None
    except (OSError, ValueError):
        return None
