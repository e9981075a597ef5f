"""What failed in a tree of counters is told once for each zone and kind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rapl_machines import COARSE

from eco2ai_callbacks.meters.cpu.failures import ZoneFailures
from eco2ai_callbacks.meters.cpu.powercap import DRAM, Zone

ZONE = Zone(0, None, "package", Path("intel-rapl:0"), COARSE, 1000.0)
OTHER = dataclasses.replace(ZONE, package=1, die=0)


def test_a_kind_of_failure_is_one_sentence_per_zone_with_its_sums() -> None:
    failures = ZoneFailures()
    assert failures.sentences == ()
    for lost_s in (1.5, 2.0):
        failures.add(ZONE, "was reset", " not measured", lost_s)
        failures.add(OTHER, "was reset", " not measured", lost_s)
    failures.add(dataclasses.replace(ZONE, name=DRAM), "stands still", " and is no longer measured")
    assert failures.sentences == (
        "RAPL: package-0 was reset (2 times), 3.5 s not measured",
        "RAPL: package-1-die-0 was reset (2 times), 3.5 s not measured",
        "RAPL: package-0 dram stands still and is no longer measured",
    )


def test_of_a_kind_that_ends_differently_each_time_the_last_end_counts() -> None:
    failures = ZoneFailures()
    for second in range(100):
        failures.add(ZONE, "is read again", f" from {second} s after the start on")
    assert failures.sentences == ("RAPL: package-0 is read again (100 times) from 99 s after the start on",)


def test_a_zone_without_a_range_is_the_same_zone() -> None:
    """As one whose range turned out to be wrong."""
    failures = ZoneFailures()
    failures.add(ZONE, "was reset")
    failures.add(dataclasses.replace(ZONE, range_uj=None), "was reset")
    assert failures.sentences == ("RAPL: package-0 was reset (2 times)",)
