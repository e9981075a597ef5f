"""Takes the only energy counter of a processor away, and checks when it is given up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from eco2ai_callbacks.meters.cpu.rapl import RaplCpu
from eco2ai_callbacks.testing import Clock


def check_given_up(cpu: RaplCpu, clock: Clock, remove: Callable[[], object]) -> None:
    """Check that two intervals without the counter have no energy, and that the third names its loss."""
    remove()
    for _ in range(2):
        clock.advance(1.0)
        assert cpu.interval(1.0, 1.0) == (0.0, 0.0)
    clock.advance(1.0)
    with pytest.raises(OSError, match=r"no energy counter can be read any more: package-[01] was given up"):
        cpu.interval(1.0, 1.0)


def check_reset_and_given_up(
    cpu: RaplCpu, clock: Clock, source: str, reset: Callable[[], object], remove: Callable[[], object]
) -> None:
    """Check that a counter that falls back is named, and that it is given up where it cannot be read any more."""
    clock.advance(1.0)
    reset()
    cpu.interval(1.0, 1.0)
    check_given_up(cpu, clock, remove)
    assert cpu.failures[0].startswith(f"{source}: package-0 was reset")
