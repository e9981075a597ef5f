from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from types import FunctionType
from typing import Any

from eco2ai_callbacks.integrations.callstack import callers, owner, still_running


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
        find = lambda fits: outer.fit(lambda: inner.fit(lambda: owner(Trainer, fits)))  # noqa: E731
        assert find(lambda trainer: True) is inner
        assert find(lambda trainer: trainer.name == "outer") is outer
        assert find(lambda trainer: False) is None

    def test_objects_of_another_kind_are_passed_over(self):
        assert Trainer().fit(lambda: owner(threading.Thread, lambda thread: True)) is None


class TestStillRunning:
    def test_it_holds_within_the_call_and_not_after_it(self):
        looks = []

        def hook() -> bool:
            looks.append(still_running({"fit"}, "keras"))
            return looks[0]()

        assert keras_fit(hook) is True
        assert looks[0]() is False

    def test_a_call_of_another_name_or_package_is_none(self):
        assert keras_fit(lambda: still_running({"evaluate"}, "keras")) is None
        assert other_fit(lambda: still_running({"fit"}, "keras")) is None

    def test_it_holds_from_another_thread(self):
        def hook() -> bool:
            look = still_running({"fit"}, "keras")
            seen: list[bool] = []
            thread = threading.Thread(target=lambda: seen.append(look()))
            thread.start()
            thread.join()
            return seen[0]

        assert keras_fit(hook) is True

    def test_it_does_not_hold_once_its_thread_has_ended(self):
        looks = []
        thread = threading.Thread(target=keras_fit, args=(lambda: looks.append(still_running({"fit"}, "keras")),))
        thread.start()
        thread.join()
        assert looks[0]() is False

    def test_a_second_call_of_the_same_function_is_not_taken_for_the_first(self):
        # Frames are soon allocated at the same address again, so that their numbers say nothing.
        looks: list[Callable[[], bool]] = []

        def hook() -> list[bool]:
            looks.append(still_running({"fit"}, "keras"))
            return [look() for look in looks]

        for number in range(20):
            assert keras_fit(hook) == [False] * number + [True]

    def test_looks_at_one_call_agree(self):
        def hook() -> list[bool]:
            looks = [still_running({"fit"}, "keras") for _ in range(2)]
            return [look() for look in looks]

        assert keras_fit(hook) == [True, True]

    def test_a_call_within_a_call_of_the_same_function_is_the_one_meant(self):
        looks = []

        def inner() -> None:
            looks.append(still_running({"fit"}, "keras"))

        def outer() -> bool:
            keras_fit(inner)
            return looks[0]()

        assert keras_fit(outer) is False

    def test_what_the_call_held_is_freed_after_it(self):
        kept = []

        def fit(model: Trainer) -> None:
            kept.append(still_running({"fit"}, __name__.partition(".")[0]))

        model = Trainer()
        gone = weakref.ref(model)
        fit(model)
        del model
        gc.collect()
        assert kept[0] is not None
        assert gone() is None
