"""The stub of Apple's counters."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.testing import FakeApple


def test_counters_are_in_millijoules_or_none() -> None:
    energy = FakeApple(cpu=1.5, gpu_sram=None).AppleEnergyMonitor().get_cumulative_energy()
    assert (energy.cpu_total_mj, energy.gpu_sram_mj) == (1500, None)


def test_it_fails_where_the_test_says_so() -> None:
    with pytest.raises(RuntimeError, match="no channel"):
        FakeApple(error="no channel").get_cumulative_energy()
