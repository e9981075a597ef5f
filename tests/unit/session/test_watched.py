"""The trackers of a process whose measured call may end unreported."""

from __future__ import annotations

import gc

from eco2ai_callbacks.session.watched import WatchedCalls


class Tracker:
    def __init__(self, calls: WatchedCalls) -> None:
        self.calls = calls
        self.checked = 0

    def check(self) -> None:
        self.checked += 1
        self.calls.discard(self.check)


class Lasting(Tracker):
    def check(self) -> None:
        self.checked += 1


def test_each_tracker_is_checked_and_what_has_ended_is_checked_no_more() -> None:
    calls = WatchedCalls()
    ended, lasting = Tracker(calls), Lasting(calls)
    for each in (ended, lasting):
        calls.add(each.check)
    for _ in range(2):
        calls.close_ended()
    assert (ended.checked, lasting.checked) == (1, 2)


def test_trackers_that_nobody_holds_are_forgotten() -> None:
    calls = WatchedCalls()
    gone, held = Lasting(calls), Lasting(calls)
    for each in (gone, held):
        calls.add(each.check)
    del gone, each
    gc.collect()
    calls.close_ended()
    assert held.checked == 1
    calls.discard(held.check)
    assert calls._checks == []
