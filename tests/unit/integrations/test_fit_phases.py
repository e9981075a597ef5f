"""The phases of a fit: set-up until the first step's end, then what hooks and calls report."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import pytest

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.integrations.fit_phases import CHECKPOINT, DATA, SETUP, TRAIN, VALIDATION, FitPhases
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform


class Model:
    """What a fit calls."""

    clock: Clock

    def step(self, value: int) -> int:
        self.clock.advance(10.0)
        return value + 1

    def save(self) -> str:
        self.clock.advance(100.0)
        return "saved"


@pytest.fixture
def clock() -> Clock:
    Model.clock = Clock()
    return Model.clock


def tracker(clock: Clock) -> Tracker:
    platform = fake_platform(clock, FakeMeter(clock, {"ram": 1.0}))
    return Tracker(platform=platform, region="FR", console=False, log_file=None).start()


def lengths(run: Tracker) -> dict[str, float]:
    return {name: wall / 1e9 for name, (wall, _) in run.phase.spent().own.items() if wall}


def test_all_is_set_up_until_the_first_step_has_ended(clock: Clock) -> None:
    run, fit = tracker(clock), FitPhases()
    fit.begin(run)
    clock.advance(1.0)
    fit.turn(VALIDATION)  # a sanity check
    clock.advance(2.0)
    fit.turn(TRAIN)
    clock.advance(4.0)
    assert fit.phase == SETUP
    fit.step_ended()
    clock.advance(8.0)
    fit.turn(TRAIN)
    clock.advance(16.0)
    assert fit.phase == TRAIN
    fit.end()
    clock.advance(32.0)
    assert lengths(run) == {SETUP: 7.0, DATA: 8.0, TRAIN: 16.0, "other": 32.0}
    run.stop()


def test_calls_count_as_steps_and_checkpoints_and_the_methods_are_given_back(clock: Clock) -> None:
    run, fit, model, stepped = tracker(clock), FitPhases(), Model(), []
    fit.begin(run)
    fit.count_steps(model, "step", lambda: stepped.append(1))
    fit.count(model, "save", CHECKPOINT)
    assert (model.step(1), model.step(2), model.save()) == (2, 3, "saved")
    clock.advance(1.0)
    assert lengths(run) == {SETUP: 10.0, TRAIN: 10.0, CHECKPOINT: 100.0, DATA: 1.0}
    assert stepped == [1, 1]
    fit.end()
    assert vars(model) == {}
    assert model.step(1) == 2
    run.stop()


@pytest.mark.parametrize("method", ["none", "missing"])
def test_without_a_method_to_count_a_program_s_own_loop_is_no_wait_and_goes_on(clock: Clock, method: str) -> None:
    run, fit, model = tracker(clock), FitPhases(), Model()
    model.none = None  # type: ignore[attr-defined]
    fit.begin(run)
    clock.advance(1.0)
    fit.count_steps(model, method, bool)
    fit.count(model, method, CHECKPOINT)
    assert vars(model) == {"none": None}
    fit.turn(DATA)
    clock.advance(2.0)
    fit.turn(VALIDATION)
    clock.advance(4.0)
    fit.turn(TRAIN)
    clock.advance(8.0)
    assert lengths(run) == {SETUP: 1.0, "other": 10.0, VALIDATION: 4.0}
    assert run.guard.failures == ()
    fit.begin(run)  # the next fit can be told again
    fit.step_ended()
    clock.advance(16.0)
    assert lengths(run)[DATA] == 16.0
    run.stop()


def test_an_object_s_own_function_is_given_back_and_another_s_is_left(clock: Clock) -> None:
    run, fit, model = tracker(clock), FitPhases(), Model()
    own = model.step = lambda value: value * 2  # type: ignore[method-assign]
    fit.begin(run)
    fit.count(model, "step", TRAIN)
    fit.count(model, "save", CHECKPOINT)
    other = model.save = lambda: "mine"  # type: ignore[method-assign]
    fit.begin(run)  # the same call starts again
    assert model.step is own
    assert model.save is other
    run.stop()


def test_a_copy_and_a_pickle_hold_the_plain_method(clock: Clock) -> None:
    run, fit, model = tracker(clock), FitPhases(), Model()
    fit.begin(run)
    fit.count(model, "save", CHECKPOINT)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert copied.save() == "saved"
    assert lengths(run) == {SETUP: 200.0}
    model.step = str  # type: ignore[method-assign,assignment]
    fit.count(model, "step", TRAIN)
    assert pickle.loads(pickle.dumps(model)).step(3) == "3"
    run.stop()


def test_what_cannot_be_replaced_is_named_and_works(clock: Clock) -> None:
    class Frozen:
        def save(self) -> str:
            return "saved"

        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError(name)

    run, fit, frozen = tracker(clock), FitPhases(), Frozen()
    fit.begin(run)
    fit.count(frozen, "save", CHECKPOINT)
    assert frozen.save() == "saved"
    assert any(failure.startswith("phases: ") for failure in run.guard.failures)
    run.stop()


def test_outside_of_a_fit_nothing_is_counted(clock: Clock) -> None:
    fit, model = FitPhases(), Model()
    fit.count(model, "save", CHECKPOINT)
    fit.count_steps(model, "step", bool)
    fit.step_ended()
    fit.end()
    assert vars(model) == {}
    assert fit.phase == "other"


def test_a_hook_that_another_thread_calls_changes_nothing(clock: Clock) -> None:
    run, fit = tracker(clock), FitPhases()
    fit.begin(run)
    fit.step_ended()
    thread = threading.Thread(target=lambda: fit.turn(TRAIN))
    thread.start()
    thread.join()
    assert fit.phase == DATA
    run.stop()
