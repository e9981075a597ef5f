"""Which run a fit belongs to."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from fake_call import FakeCall
from logcheck import by_run, rows

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.integrations.lifecycle import RunLifecycle
from eco2ai_callbacks.session.identity import Checkpoint

QUIET = {"region": "FR", "console": False, "heartbeat_s": 0.0}


def test_wrong_settings_are_refused_before_anything_is_opened() -> None:
    with pytest.raises(SettingsError, match="scope='galaxy'"):
        RunLifecycle({"scope": "galaxy"})  # type: ignore[typeddict-item]
    assert not list(Path().iterdir())


def test_a_fit_opens_a_run_and_another_fit_another() -> None:
    fits = RunLifecycle(QUIET)
    assert fits.tracker is None
    first = fits.begin(fit=True).run_id
    fits.end()
    second = fits.begin(fit=True).run_id
    fits.end()
    assert first != second
    assert list(by_run(rows())) == [first, second]


def test_what_stands_alone_joins_the_last_run() -> None:
    fits = RunLifecycle(QUIET)
    alone = fits.begin(fit=False).run_id
    fits.end()
    fit = fits.begin(fit=True).run_id
    fits.end()
    joined = fits.begin(fit=False).run_id
    fits.end()
    assert alone != fit == joined


def test_a_fit_that_still_runs_is_begun_again_as_the_same_run() -> None:
    fits = RunLifecycle(QUIET)
    first = fits.begin(fit=True, call=FakeCall())
    assert fits.begin(fit=True, call=FakeCall()) is first
    fits.end()


def test_a_fit_that_nobody_saw_end_is_closed_by_the_next() -> None:
    fits, call = RunLifecycle(QUIET), FakeCall()
    first = fits.begin(fit=True, call=call)
    call.end(reported=False)
    second = fits.begin(fit=True)
    assert not first.running
    assert second is not first
    fits.end()
    assert [row["ended"] for row in rows() if row["event"] == "stop"] == ["interrupted", "finished"]


def test_a_copy_remembers_the_run_and_not_what_is_live() -> None:
    fits = RunLifecycle(QUIET)
    run = fits.begin(fit=True)
    copied = pickle.loads(pickle.dumps(fits))
    assert copied.tracker is None
    assert copied.last == run.checkpoint
    fits.end()


def test_the_run_to_continue_is_the_one_that_the_settings_name() -> None:
    fits = RunLifecycle({**QUIET, "run_id": "named"})
    assert fits.continued() == Checkpoint("named")


def test_else_the_last_of_the_same_callback() -> None:
    fits = RunLifecycle(QUIET)
    run = fits.begin(fit=True)
    fits.end()
    assert fits.continued() == run.checkpoint


def test_a_run_that_somebody_writes_is_none_to_continue() -> None:
    writing = RunLifecycle(QUIET)
    writing.begin(fit=True)
    assert RunLifecycle(QUIET).continued() is None
    writing.end()


def test_a_fit_of_another_callback_is_closed_before_the_next_begins_and_is_not_around_it() -> None:
    call = FakeCall()
    RunLifecycle(QUIET).begin(fit=True, call=call)
    call.end(reported=False)
    second = RunLifecycle(QUIET)
    second.begin(fit=True)
    second.end()
    assert [row["ended"] for row in rows() if row["event"] == "stop"] == ["interrupted", "finished"]
    assert [row["parent"] for row in rows() if row["event"] == "start"] == [None, None]


def test_a_fit_inside_a_fit_that_still_runs_is_a_part_of_it() -> None:
    outer, inner = RunLifecycle(QUIET), RunLifecycle(QUIET)
    around = outer.begin(fit=True, call=FakeCall()).run_id
    inner.begin(fit=True, call=FakeCall())
    inner.end()
    outer.end()
    assert [row["parent"] for row in rows() if row["event"] == "start"] == [None, around]


def test_a_fit_has_its_set_up_and_a_program_s_own_phases() -> None:
    fits = RunLifecycle(QUIET)
    with fits.phase("before"):
        pass  # nothing runs, so it counts nothing
    tracker = fits.begin(fit=True)
    with fits.phase("augment"):
        assert tracker.phase.innermost == "augment"
    assert fits.fit.phase == "setup"
    fits.end()
    assert fits.fit.phase == "other"
    alone = fits.begin(fit=False)
    assert alone.phase.base == "other"
    fits.end()
    last = rows()
    assert {"setup", "augment"} <= {name for row in last for name in row["phases"] or ()}
