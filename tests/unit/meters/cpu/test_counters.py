"""Counters that wrap, restart, vanish and cannot always be read give joules that are never invented."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapl_machines import AMD, COARSE, FINE, INTEL, MEMORY, joules, ram

from eco2ai_callbacks.meters.cpu.rapl import open_rapl
from eco2ai_callbacks.testing import Clock, PowercapTree


@pytest.fixture
def tree(tmp_path: Path) -> PowercapTree:
    return PowercapTree(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


# -- Gaps and failures in the middle of a run.


def test_a_reset_discards_its_interval_and_says_how_long_it_was(tree, clock):
    package = tree.add_package(0, energy_uj=50_000_000_000)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    clock.advance(3.1)
    tree.reset(package, 7_000_000)
    assert joules(cpu) == 0.0
    assert cpu.failures == ("RAPL: package-0 was reset, 3.1 s not measured",)
    clock.advance(1.0)
    tree.advance(package, 4.0)
    assert joules(cpu) == 4.0
    assert len(cpu.failures) == 1


def test_what_happens_again_is_counted_in_the_same_sentence(tree, clock):
    package = tree.add_package(0, energy_uj=50_000_000_000)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    for _ in range(3):
        clock.advance(3.1)
        tree.reset(package, tree.energy_uj(package) // 2)
        assert joules(cpu) == 0.0
    assert cpu.failures == ("RAPL: package-0 was reset (3 times), 9.3 s not measured",)


def test_a_lost_digit_costs_its_two_intervals_and_no_more(tree, clock):
    package = tree.add_package(0, energy_uj=123_456_789_000)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    clock.advance(1.0)
    tree.break_(package, "12345678900\n")
    assert joules(cpu) == 0.0
    clock.advance(1.0)
    tree.mend(package)
    assert joules(cpu) == 0.0
    clock.advance(1.0)
    tree.advance(package, 40.0)
    assert joules(cpu) == 40.0
    assert cpu.failures == (
        "RAPL: package-0 was reset, 1.0 s not measured",
        "RAPL: package-0 rose faster than at 1000 W, 1.0 s not measured",
    )


@pytest.mark.parametrize(
    ("content", "error", "why"),
    [
        ("", None, "not a number"),
        ("12 34\n", None, "not a number"),
        ("<unsupported>\n", None, "not a number"),
        ("99999999999999\n", None, "beyond its range"),
        ("", errno.EIO, "Input/output error"),
        ("", errno.EACCES, "Permission denied"),
    ],
)
def test_a_failed_read_is_neither_zero_nor_a_wrap_and_its_energy_is_counted_later(tree, clock, content, error, why):
    package = tree.add_package(0, energy_uj=COARSE - 1_000_000)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    clock.advance(5.0)
    tree.advance(package, 100.0)  # over the end of the range meanwhile
    tree.break_(package, content, error=error)
    assert joules(cpu) == 0.0
    assert cpu.failures == (f"RAPL: package-0 could not be read ({why})",)
    clock.advance(5.0)
    tree.advance(package, 50.0)
    tree.mend(package)
    assert joules(cpu) == 150.0
    assert cpu.failures == (f"RAPL: package-0 could not be read ({why})",)


def test_energy_of_a_failure_that_outlasts_the_range_is_a_gap(tree, clock):
    package = tree.add_package(0, range_uj=FINE)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    tree.break_(package, error=errno.EIO)
    for _ in range(2):
        clock.advance(30.0)
        assert joules(cpu) == 0.0
    clock.advance(30.0)
    tree.advance(package, 100.0)
    tree.mend(package)
    assert joules(cpu) == 0.0
    assert cpu.failures == (
        "RAPL: package-0 could not be read (Input/output error) (2 times)",
        "RAPL: package-0 went unread for too long, 90.0 s not measured",
    )


def test_a_package_that_comes_back_higher_goes_on(tree, clock):
    package, other = tree.add_package(0), tree.add_package(1)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    tree.unplug(package)
    clock.advance(1.0)
    tree.advance(package, 10.0)
    tree.advance(other, 1.0)
    assert joules(cpu) == 1.0
    tree.plug(package)
    clock.advance(1.0)
    assert joules(cpu) == 10.0
    assert cpu.failures == ("RAPL: package-0 could not be read (No such file or directory)",)


def test_a_package_that_comes_back_lower_was_reset_however_small_the_step_looks(tree, clock):
    package = tree.add_package(0, energy_uj=COARSE - 1_000_000)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    tree.unplug(package)
    clock.advance(10.0)
    assert joules(cpu) == 0.0
    tree.plug(package)
    tree.reset(package, 0)
    clock.advance(10.0)
    assert joules(cpu) == 0.0
    tree.advance(package, 2.0)
    clock.advance(1.0)
    assert joules(cpu) == 2.0
    assert cpu.failures[1:] == ("RAPL: package-0 was reset, 20.0 s not measured",)


def test_a_package_that_stays_away_is_given_up_and_the_others_go_on(tree, clock):
    stays, goes = tree.add_package(0), tree.add_package(1)
    tree.add_dram(stays)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    tree.unplug(goes)
    for _ in range(5):
        clock.advance(1.0)
        tree.advance(stays, 6.0)
        assert joules(cpu) == 6.0
    assert cpu.failures == (
        "RAPL: package-1 could not be read (No such file or directory) (3 times)",
        "RAPL: package-1 was given up after 3 failed reads and is no longer measured",
    )


def test_failures_in_between_good_reads_do_not_add_up_to_giving_up(tree, clock):
    package = tree.add_package(0)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    for _ in range(4):
        tree.break_(package, error=errno.EIO)
        for _ in range(2):
            clock.advance(1.0)
            tree.advance(package, 6.0)
            assert joules(cpu) == 0.0
        tree.mend(package)
        assert joules(cpu) == 12.0
    assert cpu.failures == ("RAPL: package-0 could not be read (Input/output error) (8 times)",)


def test_many_failed_reads_in_a_moment_give_no_package_up(tree, clock):
    package = tree.add_package(0)
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    clock.advance(1.0)
    tree.break_(package, error=errno.EIO)
    for _ in range(9):
        clock.advance(0.01)
        assert joules(cpu) == 0.0
    tree.mend(package)
    tree.advance(package, 6.0)
    assert joules(cpu) == 6.0
    assert cpu.failures == ("RAPL: package-0 could not be read (Input/output error) (9 times)",)


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_shortage_however_long_gives_no_package_up(tree, clock, monkeypatch, error):
    package = tree.add_package(0)
    cpu, _ = open_rapl(tree.root, INTEL, clock)

    def short(path):
        raise OSError(error, "none left")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", short)
        for _ in range(9):
            clock.advance(2.0)
            assert joules(cpu) == 0.0
    tree.advance(package, 60.0)
    assert joules(cpu) == 60.0
    assert cpu.failures == ("RAPL: package-0 could not be read (none left) (9 times)",)


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES])
def test_once_every_zone_is_gone_reading_raises(tree, clock, error):
    package = tree.add_package(0)
    tree.add_dram(package)
    cpu, dram = open_rapl(tree.root, INTEL, clock)
    clock.advance(1.0)
    tree.advance(package, 5.0)
    assert (joules(cpu), ram(dram)) == (5.0, 0.0)
    for zone in ("intel-rapl:0", "intel-rapl:0:0"):
        tree.break_(zone, error=error)
    for _ in range(2):
        clock.advance(1.0)
        assert (joules(cpu), ram(dram)) == (0.0, 0.0)
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match="no energy counter can be read any more"):
            joules(cpu)
        with pytest.raises(FileNotFoundError, match="no energy counter can be read any more"):
            ram(dram)
    assert cpu.failures[-1] == "RAPL: package-0 was given up after 3 failed reads and is no longer measured"
    assert dram is not None
    assert dram.failures[-1] == "RAPL: package-0 dram was given up after 3 failed reads and is no longer measured"


def test_a_suspended_machine_is_a_gap(tree, clock):
    package = tree.add_package(0)
    boottime = Clock(5000.0)
    cpu, _ = open_rapl(tree.root, INTEL, clock, boottime)

    def run(joules_used: float, seconds: float, asleep_s: float) -> float:
        clock.advance(seconds)
        boottime.advance(seconds + asleep_s)
        tree.advance(package, joules_used)
        return joules(cpu)

    assert run(5.0, 2.0, 0.0) == 5.0
    assert run(5.0, 2.0, 3600.0) == 0.0
    assert run(5.0, 2.0, 0.01) == 5.0
    assert cpu.failures == ("RAPL: package-0 was read across a suspend of the machine, 2.0 s not measured",)


def test_a_suspend_behind_a_failed_read_is_a_gap_too(tree, clock):
    package = tree.add_package(0)
    boottime = Clock()
    cpu, _ = open_rapl(tree.root, INTEL, clock, boottime)
    tree.break_(package, error=errno.EIO)
    boottime.advance(3600.0)
    assert joules(cpu) == 0.0
    tree.mend(package)
    tree.advance(package, 5.0)
    clock.advance(1.0)
    boottime.advance(1.0)
    assert joules(cpu) == 0.0
    assert "RAPL: package-0 was read across a suspend of the machine, 1.0 s not measured" in cpu.failures


# -- Dies of an AMD package.


class Ticking:
    """A clock that moves with every look at it, and calls something at the looks that are named."""

    def __init__(self, tick_s: float = 1e-5) -> None:
        self.now, self.tick_s, self.looks = 0.0, tick_s, 0
        self.at: dict[int, Callable[[], None]] = {}

    def __call__(self) -> float:
        self.now += self.tick_s
        self.looks += 1
        self.at.pop(self.looks, lambda: None)()
        return self.now


def epyc(tree: PowercapTree, *energies_uj: int) -> list[str]:
    return [tree.add_package(0, die, range_uj=FINE, energy_uj=uj) for die, uj in enumerate(energies_uj)]


def test_dies_a_little_apart_are_one_as_far_as_the_time_between_their_reads_explains_it(tree):
    # 4 looks at a clock of 10 µs lie between: at 1000 W, 40 mJ
    epyc(tree, 5_000_000, 5_030_000, 6_000_000)
    cpu, _ = open_rapl(tree.root, AMD, Ticking())
    for die in range(3):
        tree.advance(f"intel-rapl:{die}", 0.5)
    assert joules(cpu) == 1.0


def test_a_counter_that_moves_between_the_reads_of_two_dies_stays_one(tree):
    first, second = epyc(tree, 5_000_000, 5_000_000)
    clock = Ticking()
    cpu, _ = open_rapl(tree.root, AMD, clock)

    def both(energy_j: float) -> None:
        for die in (first, second):
            tree.advance(die, energy_j)

    clock.now += 10.0
    both(7.0)
    # The first look of a read is before the first die, the second after it: a step of 0.4 J falls between the dies.
    clock.at[clock.looks + 2] = lambda: both(0.4)
    assert joules(cpu) == 7.0
    clock.now += 10.0
    assert joules(cpu) == pytest.approx(0.4)
    assert cpu.failures == ()


def test_a_counter_that_moves_between_the_first_reads_of_two_dies_is_one(tree):
    first, second = epyc(tree, 5_000_000, 5_000_000)
    clock = Ticking()

    def both() -> None:
        for die in (first, second):
            tree.advance(die, 0.4)

    clock.at[2] = both
    cpu, _ = open_rapl(tree.root, AMD, clock)
    clock.now += 10.0
    both()
    assert joules(cpu) == pytest.approx(0.8)


def test_dies_that_cannot_be_compared_again_count_as_one(tree):
    first, second = epyc(tree, 5_000_000, 5_500_000)
    clock = Ticking()
    clock.at[3] = lambda: tree.break_(first, error=errno.EIO)
    cpu, _ = open_rapl(tree.root, AMD, clock)
    tree.mend(first)
    clock.now += 1.0
    for die in (first, second):
        tree.advance(die, 3.0)
    clock.at[clock.looks + 3] = lambda: tree.break_(first, error=errno.EIO)
    assert joules(cpu) == 3.0
    assert cpu.failures == ()


def test_dies_wrap_together(tree, clock):
    dies = epyc(tree, FINE - 1_000_000, FINE - 1_000_000)
    cpu, _ = open_rapl(tree.root, AMD, clock)
    clock.advance(1.0)
    for die in dies:
        tree.advance(die, 3.0)
    assert joules(cpu) == 3.0
    assert cpu.failures == ()


def test_one_die_before_and_one_behind_the_wrap_are_one(tree):
    dies = epyc(tree, FINE - 5_000, 5_000)
    cpu, _ = open_rapl(tree.root, AMD, Ticking())
    for die in dies:
        tree.advance(die, 1.0)
    assert joules(cpu) == 1.0


def test_dies_without_a_range_are_compared_as_they_stand(tree, clock):
    dies = [tree.add_package(0, die, range_uj=None, energy_uj=5_000_000) for die in (0, 1)]
    cpu, _ = open_rapl(tree.root, AMD, clock)
    clock.advance(1.0)
    for die in dies:
        tree.advance(die, 1.0)
    assert joules(cpu) == 1.0


def test_dies_that_part_are_two_from_then_on(tree, clock):
    first, second = epyc(tree, 5_000_000, 5_000_000)
    cpu, _ = open_rapl(tree.root, AMD, clock)
    clock.advance(1.0)
    tree.advance(first, 30.0)
    tree.advance(second, 20.0)
    assert joules(cpu) == 30.0
    assert cpu.failures == (
        "RAPL: package-0-die-1 parted from package-0-die-0: until then counted as one, as two from then on",
    )
    clock.advance(1.0)
    tree.advance(first, 4.0)
    tree.advance(second, 14.0)  # at the same value again
    assert joules(cpu) == 18.0
    assert len(cpu.failures) == 1


def test_dies_may_part_long_after_the_start(tree, clock):
    first, second = epyc(tree, 5_000_000, 5_000_000)
    cpu, _ = open_rapl(tree.root, AMD, clock)
    for _ in range(4):
        clock.advance(30.0)
        for die in (first, second):
            tree.advance(die, 20.0)
        assert joules(cpu) == 20.0
    clock.advance(30.0)
    tree.advance(first, 20.0)
    assert joules(cpu) == 20.0
    assert len(cpu.failures) == 1


@pytest.mark.parametrize("misread", ["9\n", "5000000000\n", "nonsense\n"])
def test_a_misread_die_is_no_sign_of_parting(tree, clock, misread):
    first, second = epyc(tree, 50_000_000, 50_000_000)
    cpu, _ = open_rapl(tree.root, AMD, clock)
    for break_it in (True, False, False):
        clock.advance(1.0)
        for die in (first, second):
            tree.advance(die, 20.0)
        if break_it:
            tree.break_(second, misread)
        assert joules(cpu) == 20.0
        if break_it:
            tree.mend(second)
    assert not any("parted" in failure for failure in cpu.failures)


def test_a_die_that_is_away_is_stood_in_for_by_its_twin(tree, clock):
    first, second = epyc(tree, FINE - 1_000_000, FINE - 1_000_000)
    cpu, _ = open_rapl(tree.root, AMD, clock)
    tree.unplug(first)
    for _ in range(4):
        clock.advance(1.0)
        for die in (first, second):
            tree.advance(die, 3.0)
        assert joules(cpu) == 3.0
    assert cpu.failures == (
        "RAPL: package-0-die-0 could not be read (No such file or directory) (3 times)",
        "RAPL: package-0-die-0 was given up after 3 failed reads",
    )


def test_intels_dies_are_never_taken_for_one(tree, clock):
    dies = [tree.add_package(0, die, energy_uj=5_000_000) for die in (0, 1)]
    cpu, _ = open_rapl(tree.root, INTEL, clock)
    clock.advance(1.0)
    for die in dies:
        tree.advance(die, 10.0)
    assert joules(cpu) == 20.0


# -- Any sequence: never decreasing, nothing invented, the truth outside the gaps.

CAP_W = 1000.0


# Short of all of the cap, where a sum of clock readings rounds.
LOADS = st.floats(0.0, 0.999)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["read", "read", "read", "fail", "nonsense", "vanish", "reset"]),
        st.integers(1, 30_000).map(lambda ms: ms / 1000),
        LOADS,
    ),
    max_size=30,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(start=st.floats(0.0, 1.0), range_uj=st.sampled_from([COARSE, FINE, MEMORY]), operations=OPERATIONS)
def test_any_sequence_gives_the_truth_outside_the_gaps(start, range_uj, operations):
    """The fake hardware knows what it used; an interval that a reset, a return or its length spoilt is a gap."""
    with TemporaryDirectory() as folder:
        tree, clock = PowercapTree(Path(folder)), Clock()
        package = tree.add_package(0, range_uj=range_uj, energy_uj=max(1, int(start * range_uj)))
        cpu, _ = open_rapl(tree.root, INTEL, clock)
        measured = truth = everything = 0.0
        gaps = 0
        # Since the last good read: what it showed, what was used, how long ago it is.
        shown, used_j, seconds, misses, vanished = tree.energy_uj(package), 0.0, 0.0, 0, False
        for operation, span_s, load in operations:
            if misses == 2 and operation != "reset":
                operation = "read"  # a third failure in a row would be the end of the zone
            clock.advance(span_s)
            seconds += span_s
            energy_j = int(load * CAP_W * span_s * 1e6) / 1e6
            tree.advance(package, energy_j)
            used_j += energy_j
            everything += energy_j
            spoilt = seconds * CAP_W * 1e6 > range_uj
            match operation:
                case "fail":
                    tree.break_(package, error=errno.EIO)
                case "nonsense":
                    tree.break_(package, "-1\n")
                case "vanish":
                    tree.unplug(package)
                case "reset":
                    # To anywhere from where the step, be it taken for a use or for a wrap, exceeds the cap.
                    reach = math.ceil(CAP_W * max(seconds, 0.002) * 1e6) + 1000
                    if reach < range_uj:
                        value = (shown + reach + int(load * (range_uj - reach))) % range_uj
                        tree.reset(package, value)
                        spoilt = True
            gained = joules(cpu)
            assert gained >= 0.0
            measured += gained
            if operation in ("fail", "nonsense", "vanish"):
                assert gained == 0.0
                misses += 1
                vanished = vanished or operation == "vanish"
                tree.plug(package) if operation == "vanish" else tree.mend(package)
                continue
            if spoilt or (vanished and tree.energy_uj(package) < shown):
                gaps += 1
            else:
                truth += used_j
            shown, used_j, seconds, misses, vanished = tree.energy_uj(package), 0.0, 0.0, 0, False
            assert measured == pytest.approx(truth, abs=1e-4)
        assert measured <= everything + 1e-4
        assert any("not measured" in failure for failure in cpu.failures) == (gaps > 0)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    loads=st.lists(st.tuples(LOADS, LOADS, st.floats(0.01, 30.0)), max_size=20),
    failing=st.sets(st.tuples(st.integers(0, 19), st.integers(0, 1))),
)
def test_zones_fail_and_recover_each_for_itself(loads, failing):
    with TemporaryDirectory() as folder:
        tree, clock = PowercapTree(Path(folder)), Clock()
        packages = [tree.add_package(number, range_uj=FINE, energy_uj=FINE // 2) for number in (0, 1)]
        cpu, _ = open_rapl(tree.root, INTEL, clock)
        total = 0.0
        pending, seconds, misses = [0.0, 0.0], [0.0, 0.0], [0, 0]
        truth = 0.0
        for number, (*shares, span_s) in enumerate(loads):
            clock.advance(span_s)
            for which, package in enumerate(packages):
                used = int(shares[which] * CAP_W * span_s * 1e6) / 1e6
                tree.advance(package, used)
                pending[which] += used
                seconds[which] += span_s
                if (number, which) in failing and misses[which] < 2:
                    tree.break_(package, error=errno.EIO)
                    misses[which] += 1
                    continue
                if seconds[which] * CAP_W * 1e6 <= FINE:
                    truth += pending[which]
                pending[which], seconds[which], misses[which] = 0.0, 0.0, 0
            total += joules(cpu)
            for package in packages:
                tree.mend(package)
            assert total == pytest.approx(truth, abs=1e-4)
