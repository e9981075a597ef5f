"""A call that may hang is waited for no longer than asked."""

from __future__ import annotations

import threading

from eco2ai_callbacks.meters.gpu.aside import Aside


def test_an_answer_that_comes_is_returned_as_often_as_asked() -> None:
    aside = Aside(lambda: 42)
    assert aside.wait(60.0) == 42
    assert aside.wait(0.0) == 42


def test_an_answer_that_does_not_come_is_none_until_it_does() -> None:
    answered = threading.Event()
    aside = Aside(lambda: answered.wait(60.0))
    assert aside.wait(0.0) is None
    answered.set()
    assert aside.wait(60.0) is True


def test_what_follows_is_done_by_the_thread_that_waits_or_at_once() -> None:
    answered, followed = threading.Event(), threading.Event()
    by: list[str] = []
    aside = Aside(lambda: answered.wait(60.0))

    def follow() -> None:
        by.append(threading.current_thread().name)
        followed.set()

    aside.then(follow)
    assert by == []
    answered.set()
    assert followed.wait(60.0)
    assert by == ["eco2ai-aside"]
    aside.then(follow)
    assert by == ["eco2ai-aside", threading.current_thread().name]
