"""The processor's counters as performance events, with joules worked by hand."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest
from lost_counter import check_given_up

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.cpu import perf
from eco2ai_callbacks.meters.cpu.perf import exists, locate
from eco2ai_callbacks.meters.cpu.rapl import RaplCpu, RaplDram, of_zones
from eco2ai_callbacks.testing import BARE_METAL, Clock, PerfTree


def opened(tree: PerfTree, clock: Clock) -> tuple[RaplCpu, RaplDram | None]:
    zones = locate(tree.base, tree)
    return of_zones(zones, BARE_METAL, clock, name="perf", method="rapl-perf")


def test_each_package_counts_its_steps(tmp_path: Path) -> None:
    """Steps of 2^-32 J: 40 J and 30 J in a second, and 4 J of memory."""
    clock, tree = Clock(), PerfTree(tmp_path, cpus="0,18")
    cpu, dram = opened(tree, clock)
    assert dram is not None
    clock.advance(1.0)
    tree.advance("energy-pkg", 0, 40.0)
    tree.advance("energy-pkg", 18, 30.0)
    tree.advance("energy-ram", 0, 4.0)
    assert cpu.interval(1.0, 1.0) == (pytest.approx(70.0, abs=1e-5), 0.0)
    assert dram.read() == {"ram": pytest.approx(4.0, abs=1e-5)}
    assert cpu.method.name == "rapl-perf"
    assert cpu.name == "perf"


def test_a_processor_without_memory_counters_has_none(tmp_path: Path) -> None:
    tree = PerfTree(tmp_path, events=("energy-pkg", "energy-cores"))
    assert opened(tree, Clock())[1] is None
    assert exists(tmp_path)


def test_a_machine_without_the_events_has_none(tmp_path: Path) -> None:
    assert not exists(tmp_path)
    with pytest.raises(MeterUnavailable, match="absent: the kernel has no energy events"):
        locate(tmp_path)


def test_who_may_not_open_them_is_told_what_would_permit_it(tmp_path: Path) -> None:
    tree = PerfTree(tmp_path, paranoid=2)
    tree.refuse(errno.EACCES)
    with pytest.raises(
        MeterUnavailable, match=r"no permission to open energy events .*perf_event_paranoid is 2"
    ) as why:
        locate(tmp_path, tree)
    assert "sysctl kernel.perf_event_paranoid=0" in (why.value.hint or "")


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("cpumask", "", "it counts on no processor"),
        ("type", "", "invalid literal"),
        ("events/energy-pkg.scale", "garbage", "could not convert"),
        ("events/energy-pkg.scale", "0", "counts in steps of 0 Joules"),
        ("events/energy-pkg.unit", "", "an unknown unit"),
        ("events/energy-pkg.unit", "Volts", "2.32831e-10 Volts"),
    ],
    ids=["no processor", "no type", "garbage", "zero", "no unit", "another unit"],
)
def test_what_the_kernel_says_otherwise_is_refused(tmp_path: Path, file: str, content: str, why: str) -> None:
    tree = PerfTree(tmp_path)
    (tree.pmu / file).write_text(f"{content}\n")
    with pytest.raises(MeterUnavailable, match=f"unreadable: .*{why}"):
        locate(tmp_path, tree)


def test_a_counter_that_stands_still_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    clock, tree = Clock(), PerfTree(tmp_path, events=("energy-pkg",))
    cpu, _ = opened(tree, clock)
    for _ in range(2):
        clock.advance(1.0)
        tree.advance("energy-pkg", 0, 40.0)
        cpu.interval(1.0, 1.0)
    check_given_up(cpu, clock, lambda: tree.cut("energy-pkg", 0))
    assert cpu.failures[0].startswith("perf: package-0 could not be read (not a number)")


def test_the_events_are_closed_with_their_zones(tmp_path: Path) -> None:
    tree = PerfTree(tmp_path, events=("energy-pkg",))
    zones = locate(tmp_path, tree)
    assert zones[0].read_uj() == 1
    assert tree.closed == []
    del zones
    assert tree.closed == tree.opened == [("energy-pkg", 0)]


def test_the_kernel_refuses_a_kind_of_event_that_there_is_none_of(tmp_path: Path) -> None:
    """The real call: it comes back with an error of the kernel, or of the sandbox around the tests."""
    PerfTree(tmp_path, kind=2**31 - 5)
    with pytest.raises(MeterUnavailable, match="unreadable"):
        locate(tmp_path)


def test_the_kernel_opens_an_event_where_it_permits_one() -> None:
    """The real call, with the clock of a processor (perf_event_open(2): PERF_COUNT_SW_CPU_CLOCK) in place of energy."""
    events = perf.kernel()
    try:
        descriptor = events.open(1, 0, 0)
    except OSError as error:
        pytest.skip(f"the kernel, or the sandbox around the tests, refuses events ({error})")
    first, second = (struct.unpack("=Q", events.read(descriptor))[0] for _ in range(2))
    events.close(descriptor)
    assert 0 < first < second
