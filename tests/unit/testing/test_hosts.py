from __future__ import annotations

from eco2ai_callbacks.meters.cpu import table
from eco2ai_callbacks.testing.hosts import BARE_METAL, CLOUD_VM


def test_they_are_two_machines_of_two_kinds() -> None:
    assert BARE_METAL.hash != CLOUD_VM.hash
    assert (BARE_METAL.kind, CLOUD_VM.kind) == ("bare metal", "virtual machine")


def test_the_name_of_one_s_processor_identifies_a_model_and_the_other_s_does_not() -> None:
    assert table.lookup(BARE_METAL.cpu_name) is not None
    assert table.lookup(CLOUD_VM.cpu_name) is None
