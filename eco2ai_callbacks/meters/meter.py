"""Define what a meter is: a cumulative joule counter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from eco2ai_callbacks.host.gpu_health import GpuLook
from eco2ai_callbacks.usage import Method

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Device:
    """A device whose energy a meter reads.

    Args:
        vendor: The maker, in lower case: ``nvidia``, ``amd``, ``intel``.
        index: Its number, as the maker's own tools show it.
        uuid: Its unique id; its channel is ``gpu:<uuid>``.
        name: The model's name.
    """

    vendor: str
    index: int
    uuid: str
    name: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a record."""
        return {"vendor": self.vendor, "index": self.index, "uuid": self.uuid, "name": self.name}


class Meter(Protocol):
    """A source of energy figures: joules per channel since it was opened, which never decrease."""

    @property
    def name(self) -> str:
        """The source, as ``doctor`` and failures name it: ``RAPL``, ``NVML``, ``CPU model``, ``RAM model``."""

    @property
    def covers(self) -> frozenset[str]:
        """The components whose energy is in the figures: some of ``cpu``, ``gpu``, ``ram``."""

    @property
    def max_gap_s(self) -> float:
        """The longest that the meter may go unread now, in seconds; ``math.inf`` where it does not matter."""

    @property
    def methods(self) -> Mapping[str, Method]:
        """The method of each channel now; it changes where another method takes over in the meter."""

    @property
    def devices(self) -> Sequence[Device]:
        """The devices that have channels of their own; empty where the meter has none (CPU, memory)."""

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed since it was opened, one sentence each that begins with the source's name."""

    def read(self) -> Mapping[str, float]:
        """Return the joules of each channel since the meter was opened.

        A channel is absent before its first figure. One that can no longer be read is absent from then on. An exception
        leaves all channels out until the meter answers again; it retires the meter where it lasts, or where what is
        read is gone.
        """

    def close(self) -> None:
        """Release what the meter holds; never raises, and may be called twice."""


def devices_of(meters: Iterable[Meter]) -> list[Device]:
    """Return the devices of all meters.

    Args:
        meters: Open meters.
    """
    return [device for meter in meters for device in meter.devices]


def behind_of(meter: Meter) -> frozenset[str]:
    """Return the channels whose figures are older than a meter's last read, since their devices did not answer.

    A meter of several devices names them as ``behind``, where it has that attribute: they are missing from this reading
    and in the next that has them again.

    Args:
        meter: The meter, just read.
    """
    behind = getattr(meter, "behind", None)
    return frozenset(behind) if behind else _NONE


def model_check_of(meter: Meter) -> Mapping[str, Any] | None:
    """Return what a model would have said beside a meter's counters, as its attribute ``model_check`` holds it.

    Args:
        meter: The meter; one without that attribute has no model beside it.
    """
    found: Mapping[str, Any] | None = getattr(meter, "model_check", None)
    return found


def refresh_of(meter: Meter) -> float:
    """Return how often a meter's figures change, in seconds: over less, their differences are steps and no energy.

    A meter whose source is renewed from time to time names it as ``refresh_s``; others follow every read.

    Args:
        meter: The meter.
    """
    return float(getattr(meter, "refresh_s", 0.0))


def looks_of(meter: Meter) -> bool:
    """Return whether a meter has something to report of its GPUs beside their energy, as its attribute ``looks`` holds.

    Args:
        meter: The meter; one without that attribute has not.
    """
    return bool(getattr(meter, "looks", False))


def look_at(meter: Meter) -> Sequence[GpuLook]:
    """Return the state of a meter's GPUs now, as its method ``look`` reports it.

    Args:
        meter: The meter; one without that method reports nothing.
    """
    look = getattr(meter, "look", None)
    return () if look is None else tuple(look())


class MachineCpu(Protocol):
    """A source of the energy of all CPUs of the machine, before a job's part of it is computed."""

    @property
    def name(self) -> str:
        """The source, as ``doctor`` and failures name it."""

    @property
    def covers(self) -> frozenset[str]:
        """The components whose energy is in the figures."""

    @property
    def max_gap_s(self) -> float:
        """The longest that :meth:`interval` may go uncalled now, in seconds."""

    @property
    def method(self) -> Method:
        """The method of the joules now, with the scope ``machine``."""

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed since it was opened, one sentence each."""

    def interval(self, busy_s: float, seconds: float) -> tuple[float, float]:
        """Return active and idle joules of the machine since the last call, or since opening at the first.

        Args:
            busy_s: Busy core-seconds of the whole machine in that interval; a hardware counter ignores it.
            seconds: Length of the interval.
        """

    def close(self) -> None:
        """Release what is held; never raises."""


@runtime_checkable
class LoadCurve(Protocol):
    """A :class:`MachineCpu` whose joules are not linear in the load.

    Its :meth:`~MachineCpu.interval` depends on nothing but its arguments. It is asked for whole windows, so that the
    joules do not depend on how often the meter is read.
    """

    @property
    def window_s(self) -> float:
        """Length of the windows, in seconds, of whose mean load the joules are those."""
