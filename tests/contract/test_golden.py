"""Whole runs on fakes leave behind, to the last digit, what they always did; see :mod:`golden_run`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import golden_run
import pytest
from golden_run import GOLDEN, REGENERATE, Told, compare, play


def check(script: Callable[[Told], None]) -> None:
    """Play a script, and compare all that it has left behind: files, console, and what its calls returned."""
    found = {f"{script.__name__}.{ending}": text for ending, text in play(script).items()}
    differing = []
    for name, text in found.items():
        try:
            compare(name, text)
        except AssertionError as error:
            differing.append(str(error))
    assert not differing, "\n\n".join(differing)
    stale = [path for path in GOLDEN.glob(f"{script.__name__}.*") if path.name not in found]
    assert not stale, f"no longer written: {stale}"


def test_a_fit_leaves_the_same_log_csv_console_line_and_scalars() -> None:
    check(golden_run.fit)


def test_a_resumed_run_carries_what_the_log_lacks_and_counts_an_epoch_done_again() -> None:
    check(golden_run.resumed)


def test_a_meter_that_fails_in_the_middle_leaves_its_channel_out_and_is_named() -> None:
    check(golden_run.failing)


def test_a_budget_of_energy_stops_a_run_and_says_so() -> None:
    check(golden_run.budget)


def test_a_budget_of_emissions_stops_a_program_of_one_s_own() -> None:
    check(golden_run.emissions_budget)


def test_a_machine_where_nothing_is_read_gives_no_figures() -> None:
    check(golden_run.unmeasured)


def test_a_run_inside_another_names_it() -> None:
    check(golden_run.nested)


def test_heartbeats_hold_what_was_used_since_the_last_mark() -> None:
    check(golden_run.heartbeat)


def test_two_ranks_write_their_own_parts_and_tell_the_sum() -> None:
    check(golden_run.two_ranks)


def test_a_text_that_differs_is_shown_as_a_diff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_run, "GOLDEN", tmp_path)
    monkeypatch.delenv(REGENERATE, raising=False)
    (tmp_path / "some.txt").write_text("one\ntwo\n")
    compare("some.txt", "one\ntwo\n")
    with pytest.raises(AssertionError, match=r"(?s)some\.txt is not what it was.*-two.*\+three"):
        compare("some.txt", "one\nthree\n")
    assert (tmp_path / "some.txt").read_text() == "one\ntwo\n"
    monkeypatch.setenv(REGENERATE, "1")
    compare("some.txt", "one\nthree\n")
    assert (tmp_path / "some.txt").read_text() == "one\nthree\n"
