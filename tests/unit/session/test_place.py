"""Which tracker is around one that starts, by the thread and the task that it starts in."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from eco2ai_callbacks.session.place import Place, thread_clock

R = TypeVar("R")


@pytest.fixture(autouse=True)
def _apart() -> object:
    """Leave no place to the tests that follow in this thread."""
    from eco2ai_callbacks.session import place

    token = place._WITHIN.set(())
    yield
    place._WITHIN.reset(token)


def opened(run: str = "run") -> Place:
    place = Place(run)
    place.open = True
    return place


def in_thread(call: Callable[[], R]) -> R:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def relation(place: Place) -> tuple[bool, bool]:
    """Return whether a place is around the caller, and whether the caller's thread has begun inside it."""
    here = Place("new")
    return place.encloses(here), place.began(here)


def test_in_one_thread_the_earlier_one_is_around_the_later() -> None:
    assert relation(opened()) == (True, False)


def test_it_names_the_runs_that_are_open_around_it() -> None:
    outer = opened("outer")
    opened("ended").open = False
    assert [place.run for place in opened("inner").within] == ["outer"]
    assert outer.within == ()


def test_a_thread_that_the_main_thread_begins_is_inside_what_was_open_there() -> None:
    place = opened()
    assert in_thread(lambda: relation(place)) == (False, True)


def test_a_thread_that_ran_before_is_not() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        place = opened()
        assert pool.submit(relation, place).result() == (False, False)


def test_a_thread_that_begins_meanwhile_is_not_inside_what_another_thread_has_open() -> None:
    with ThreadPoolExecutor(1) as pool:
        place = pool.submit(opened).result()
        assert in_thread(lambda: relation(place)) == (False, False)
        assert pool.submit(relation, place).result() == (True, False)


def test_of_a_thread_that_python_has_not_started_nothing_is_known() -> None:
    import _thread

    place, found, done = opened(), list[Any](), threading.Lock()
    done.acquire()

    def look() -> None:
        found.append(relation(place))
        done.release()

    _thread.start_new_thread(look, ())
    assert done.acquire(timeout=30)
    assert found == [(False, False)]


def test_a_thread_s_number_is_not_taken_for_the_thread() -> None:
    places = [in_thread(opened) for _ in range(3)]
    assert not any(in_thread(lambda place=place: relation(place)[0]) for place in places)  # type: ignore[misc]


def test_a_context_that_is_copied_into_a_thread_is_inside() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        place = opened()
        context = contextvars.copy_context()
        assert pool.submit(context.run, relation, place).result()[0]


def test_tasks_are_inside_what_is_open_around_them_and_beside_each_other() -> None:
    async def trial(go: asyncio.Event, other: list[Place]) -> list[bool]:
        found = [place.encloses(Place("new")) for place in other]
        other.append(opened())
        await go.wait()
        return found

    async def main(outer: Place) -> None:
        go, places = asyncio.Event(), [outer, opened("main")]
        tasks = [asyncio.create_task(trial(go, places)) for _ in range(2)]
        await asyncio.sleep(0)
        go.set()
        assert [await task for task in tasks] == [[True, True], [True, True, False]]
        assert await asyncio.to_thread(lambda: places[1].encloses(Place("thread")))

    asyncio.run(main(opened("outer")))


def test_what_a_task_leaves_open_is_around_what_its_thread_does_next() -> None:
    async def cell() -> Place:
        return opened()

    place = asyncio.run(cell())
    assert relation(place) == (True, False)


def test_the_clock_of_a_thread_is_read_by_others_until_the_thread_has_ended() -> None:
    if not hasattr(time, "pthread_getcpuclockid"):
        assert thread_clock() is None
        return
    pool = ThreadPoolExecutor(1)
    clock = pool.submit(thread_clock).result()
    assert clock is not None
    before = clock()
    used = pool.submit(lambda: (sum(range(200_000)), time.thread_time())[1]).result()
    after = clock()
    assert before is not None
    assert after is not None
    assert before < used <= after
    pool.shutdown()
    until = time.monotonic() + 30
    while clock() is not None and time.monotonic() < until:
        time.sleep(0.001)  # the system may end a thread a moment after Python has
    assert clock() is None


def test_a_system_without_such_clocks_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "pthread_getcpuclockid", raising=False)
    assert thread_clock() is None
