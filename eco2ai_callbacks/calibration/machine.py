"""What a calibration belongs to: the processor, and the settings of the system that change its power."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eco2ai_callbacks.host.machine import Host

_CPU = Path("devices/system/cpu")
# What the kernel calls turbo, and what its file holds while turbo is on: intel_pstate's file says the opposite.
_TURBO = ((_CPU / "intel_pstate/no_turbo", "0"), (_CPU / "cpufreq/boost", "1"))


@dataclass(frozen=True, slots=True)
class Machine:
    """The facts on which the power of a machine's processors depends, readable by every user.

    Args:
        cpu: The processor's name.
        sockets: Processor packages.
        threads: Hardware threads.
        governor: The frequency governors in use, joined by ``+``; empty where the system has none.
        turbo: ``on``, ``off``, or empty where the system does not say.
        virtual: Whether this is a guest of a hypervisor.
    """

    cpu: str
    sockets: int
    threads: int
    governor: str = ""
    turbo: str = ""
    virtual: bool = False

    def differences(self, now: Machine) -> tuple[str, ...]:
        """Return what is no longer as it was, one clause each.

        Args:
            now: The machine as it is.

        Example:
            >>> Machine("CPU", 1, 8, "performance").differences(Machine("CPU", 1, 8, "powersave"))
            ("governor is 'powersave', was 'performance'",)
        """
        return tuple(
            f"{name} is {getattr(now, name)!r}, was {getattr(self, name)!r}"
            for name in FIELDS
            if getattr(self, name) != getattr(now, name)
        )

    def is_same_processor(self, now: Machine) -> bool:
        """Return whether the processors are the same, whatever the system's settings."""
        return (self.cpu, self.sockets, self.threads, self.virtual) == (now.cpu, now.sockets, now.threads, now.virtual)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {name: getattr(self, name) for name in FIELDS}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Machine:
        """Return the inverse of :meth:`to_dict`; raises ``ValueError`` where a value is missing or of another kind."""
        for name, kind in FIELDS.items():
            value = values.get(name)
            if type(value) is not kind or (isinstance(value, int) and kind is int and value < 1):
                raise ValueError(f"{name}={value!r} describes no machine")
        return cls(**{name: values[name] for name in FIELDS})


FIELDS: Mapping[str, type] = {
    "cpu": str,
    "sockets": int,
    "threads": int,
    "governor": str,
    "turbo": str,
    "virtual": bool,
}


def read_machine(host: Host, sys: Path = Path("/sys")) -> Machine:
    """Return the facts about this machine.

    Args:
        host: The machine.
        sys: Mount point of sysfs.
    """
    return Machine(host.cpu_name, host.sockets, host.threads, _governor(sys), _turbo(sys), host.virtual)


def _governor(sys: Path) -> str:
    # One policy for each frequency domain: a few files where there are hundreds of threads.
    found = {_text(file) for file in (sys / _CPU / "cpufreq").glob("policy*/scaling_governor")}
    return "+".join(sorted(found - {""}))


def _turbo(sys: Path) -> str:
    for file, on in _TURBO:
        if text := _text(sys / file):
            return "on" if text == on else "off"
    return ""


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
