from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import pytest

from eco2ai_callbacks.integrations import callstack
from eco2ai_callbacks.integrations.callstack import Call, call_of, callers, owner


class Trainer:
    def __init__(self, name: str = "") -> None:
        self.name = name

    def fit(self, hook: Callable[[], Any]) -> Any:
        return hook()


def in_package(function: Callable[..., Any], module: str) -> Callable[..., Any]:
    """The same function, as if it were defined in another module."""
    assert isinstance(function, FunctionType)
    return FunctionType(function.__code__, {**function.__globals__, "__name__": module}, closure=function.__closure__)


def fit(hook: Callable[[], Any]) -> Any:
    return hook()


keras_fit = in_package(fit, "keras.src.trainers.trainer")
other_fit = in_package(fit, "kerastuner.engine")


def test_callers_go_from_the_inside_out():
    names = Trainer().fit(lambda: [frame.f_code.co_name for frame in callers()])
    assert names[:4] == ["<listcomp>", "<lambda>", "fit", "test_callers_go_from_the_inside_out"] or names[:3] == [
        "<lambda>",
        "fit",
        "test_callers_go_from_the_inside_out",
    ]


class TestOwner:
    def test_it_is_the_nearest_that_fits(self):
        outer, inner = Trainer("outer"), Trainer("inner")

        def find(fits: Callable[[Any], bool]) -> Any:
            return outer.fit(lambda: inner.fit(lambda: owner(Trainer, fits)))

        assert find(lambda trainer: True) is inner
        assert find(lambda trainer: trainer.name == "outer") is outer
        assert find(lambda trainer: False) is None

    def test_objects_of_another_kind_are_passed_over(self):
        assert Trainer().fit(lambda: owner(threading.Thread, lambda thread: True)) is None


def found() -> Call:
    call = call_of({"fit"}, "keras")
    assert call is not None
    return call


def in_thread(ask: Callable[[], bool], asks: str) -> bool:
    """The answer to a question that this thread asks, or another one."""
    if asks == "its own thread":
        return ask()
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(ask()))
    thread.start()
    thread.join()
    return seen[0]


def fail_in(fit: Callable[..., Any], hook: Callable[[], Any]) -> FloatingPointError:
    """The exception with which a hook ends a fit, kept with its traceback."""

    def fails() -> None:
        hook()
        raise FloatingPointError

    try:
        fit(fails)
    except FloatingPointError as error:
        return error
    raise AssertionError


class TestCall:
    def test_it_runs_within_the_call_and_not_after_it(self):
        calls = []

        def hook() -> bool:
            calls.append(found())
            return calls[0].is_running()

        assert keras_fit(hook) is True
        assert calls[0].is_running() is False

    def test_a_call_of_another_name_or_package_is_none(self):
        assert keras_fit(lambda: call_of({"evaluate"}, "keras")) is None
        assert other_fit(lambda: call_of({"fit"}, "keras")) is None

    def test_it_runs_as_another_thread_sees_it(self):
        assert keras_fit(lambda: in_thread(found().is_running, "another thread")) is True

    def test_a_second_call_of_the_same_function_is_not_taken_for_the_first(self):
        # Frames are soon allocated at the same address again, so that their numbers say nothing.
        calls: list[Call] = []

        def hook() -> list[bool]:
            calls.append(found())
            return [call.is_running() for call in calls]

        for number in range(20):
            assert keras_fit(hook) == [False] * number + [True]

    def test_two_of_one_call_agree(self):
        assert keras_fit(lambda: [call.is_running() for call in (found(), found())]) == [True, True]

    def test_a_call_within_a_call_of_the_same_function_is_the_one_meant(self):
        calls: list[Call] = []

        def outer() -> bool:
            keras_fit(lambda: calls.append(found()))
            return calls[0].is_running()

        assert keras_fit(outer) is False

    def test_what_the_call_held_is_freed_after_it(self):
        kept = []

        def fit(model: Trainer) -> None:
            kept.append(call_of({"fit"}, __name__.partition(".")[0]))

        model = Trainer()
        gone = weakref.ref(model)
        gc.disable()
        try:
            fit(model)
            del model
            assert kept[0] is not None
            assert gone() is None
        finally:
            gc.enable()


class TestEnd:
    """The end of a call is reported once, at once where nothing keeps its frame, and never too early."""

    @pytest.fixture(autouse=True)
    def no_collection(self) -> Iterator[None]:
        gc.disable()
        yield
        gc.enable()

    def test_a_return_is_reported_at_once(self):
        told: list[str] = []
        calls: list[Call] = []

        def hook() -> None:
            calls.append(found())
            calls[0].when_over(lambda: told.append("over"))
            told.append("inside")

        keras_fit(hook)
        assert told == ["inside", "over"]

    def test_an_exception_that_nobody_keeps_is_reported_at_once(self):
        told: list[str] = []
        calls: list[Call] = []

        def hook() -> None:
            calls.append(found())
            calls[0].when_over(lambda: told.append("over"))

        fail_in(keras_fit, hook)
        assert told == ["over"]

    @pytest.mark.parametrize("asks", ["its own thread", "another thread"])
    def test_an_exception_that_is_kept_is_found_by_who_asks(self, asks: str):
        told: list[str] = []
        calls: list[Call] = []

        def hook() -> None:
            calls.append(found())
            calls[0].when_over(lambda: told.append("over"))
            assert in_thread(calls[0].is_running, asks) is True

        error = fail_in(keras_fit, hook)
        assert told == []
        assert in_thread(calls[0].is_running, asks) is False
        assert told == ["over"]
        assert error.__traceback__ is not None

    def test_a_call_whose_thread_has_ended_is_over_also_where_its_exception_is_kept(self):
        calls: list[Call] = []
        kept: list[FloatingPointError] = []
        thread = threading.Thread(target=lambda: kept.append(fail_in(keras_fit, lambda: calls.append(found()))))
        thread.start()
        thread.join()
        assert calls[0].is_running() is False
        assert kept[0].__traceback__ is not None

    def test_a_call_that_is_forgotten_reports_nothing(self):
        told: list[str] = []
        calls: list[Call] = []

        def hook() -> None:
            calls.append(found())
            calls[0].when_over(lambda: told.append("over"))
            calls[0].forget()

        keras_fit(hook)
        assert (told, calls[0].is_running()) == ([], False)

    def test_a_call_that_is_over_before_it_is_watched_is_reported(self):
        calls: list[Call] = []
        told: list[str] = []
        keras_fit(lambda: calls.append(found()))
        calls[0].when_over(lambda: told.append("over"))
        assert told == ["over"]

    def test_a_stack_that_does_not_end_at_the_outermost_frame_proves_nothing(self, monkeypatch: Any):
        """As of a suspended generator, or of another greenlet: a fit that it interrupts is not on the stack."""
        calls: list[Call] = []
        error = fail_in(keras_fit, lambda: calls.append(found()))

        def suspended() -> Iterator[None]:
            yield

        generator = suspended()
        next(generator)
        monkeypatch.setattr(sys, "_current_frames", lambda: {threading.main_thread().ident: generator.gi_frame})
        assert in_thread(calls[0].is_running, "another thread") is True
        monkeypatch.setattr(sys, "_current_frames", dict)
        assert in_thread(calls[0].is_running, "another thread") is True
        monkeypatch.undo()
        assert in_thread(calls[0].is_running, "another thread") is False
        assert error.__traceback__ is not None


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="creating a frame object starts no collection")
class TestCollectionPause:
    def test_a_look_from_another_thread_pauses_collection_and_resumes_it(self, monkeypatch: Any):
        seen: list[bool] = []
        frames = sys._current_frames
        monkeypatch.setattr(sys, "_current_frames", lambda: seen.append(gc.isenabled()) or frames())
        keras_fit(lambda: in_thread(found().is_running, "another thread"))
        assert (seen, gc.isenabled()) == ([False], True)
        gc.disable()
        try:
            keras_fit(lambda: in_thread(found().is_running, "another thread"))
            assert not gc.isenabled()
        finally:
            gc.enable()

    def test_one_thread_looks_at_a_time_and_the_other_waits_for_nothing(self):
        calls: list[Call] = []
        error = fail_in(keras_fit, lambda: calls.append(found()))
        with callstack._pause().taken() as can_read:
            assert can_read
            assert in_thread(calls[0].is_running, "another thread") is True
        assert gc.isenabled()
        assert in_thread(calls[0].is_running, "another thread") is False
        assert error.__traceback__ is not None
