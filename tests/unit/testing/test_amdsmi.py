"""The stub of AMD's library."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.testing import FakeAmdGpu, FakeAmdSmi


def test_a_board_shows_what_it_is_told_and_nothing_it_does_not_know() -> None:
    smi = FakeAmdSmi([FakeAmdGpu("0000:03:00.0", watts=None, joules=None)])
    (handle,) = smi.amdsmi_get_processor_handles()
    assert smi.amdsmi_get_power_info(handle)["average_socket_power"] == "N/A"
    with pytest.raises(smi.AmdSmiException, match="NOT_SUPPORTED"):
        smi.amdsmi_get_energy_count(handle)


def test_a_function_fails_where_the_test_says_so() -> None:
    smi = FakeAmdSmi([], {"amdsmi_init": "no driver"})
    with pytest.raises(smi.AmdSmiException, match="no driver"):
        smi.amdsmi_init()
    assert smi.calls == ["amdsmi_init"]
