"""What a meter is: a cumulative joule counter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from eco2ai_callbacks.usage import Method


class Meter(Protocol):
    """A source of energy figures: joules per channel since it was opened, never decreasing."""

    @property
    def name(self) -> str:
        """The source, as ``doctor`` and failures name it: ``RAPL``, ``NVML``, ``CPU model``, ``RAM model``."""

    @property
    def covers(self) -> frozenset[str]:
        """The components whose energy is in the figures: some of ``cpu``, ``gpu``, ``ram``."""

    @property
    def max_gap_s(self) -> float:
        """The longest that the meter may go unread, in seconds; ``math.inf`` where it does not matter."""

    @property
    def methods(self) -> Mapping[str, Method]:
        """How each channel is known."""

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong inside since it was opened, each one sentence that names the source."""

    def read(self) -> Mapping[str, float]:
        """Joules per channel since the meter was opened.

        A channel that can no longer be read is left out from then on. An exception retires the whole meter.
        """

    def close(self) -> None:
        """Give back what the meter holds; never raises."""


class MachineCpu(Protocol):
    """A way of knowing the energy of all of the machine's CPUs, before any of it is given to a job."""

    @property
    def name(self) -> str:
        """The source, as ``doctor`` and failures name it."""

    @property
    def covers(self) -> frozenset[str]:
        """The components whose energy is in the figures."""

    @property
    def max_gap_s(self) -> float:
        """The longest that :meth:`interval` may go uncalled, in seconds."""

    @property
    def method(self) -> Method:
        """How the joules are known; where the share counts a job, it puts the job in place of the whole machine."""

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong inside since it was opened."""

    def interval(self, busy_s: float, seconds: float) -> tuple[float, float]:
        """Active and idle joules of the machine since the last call (since opening, at the first).

        Args:
            busy_s: Busy core-seconds of the whole machine in that stretch; a hardware counter ignores it.
            seconds: Length of the stretch.
        """

    def close(self) -> None:
        """Give back what is held; never raises."""
