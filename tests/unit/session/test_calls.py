from __future__ import annotations

import pytest

from eco2ai_callbacks.session import calls
from eco2ai_callbacks.session.calls import Call, SucceededError, Timer
from eco2ai_callbacks.testing import Clock


def test_a_call_keeps_what_its_function_returned_or_raised() -> None:
    call = Call(lambda: 5, 0, keeps_turn=False)
    assert (call.outcome(), call.returned) == (0, False)
    call.run()
    assert (call.outcome(), call.returned) == (5, True)
    failed = Call(lambda: 1 // 0, 0, keeps_turn=False)
    failed.run()
    with pytest.raises(ZeroDivisionError):
        failed.outcome()


def test_a_thread_that_was_succeeded_has_returned_nothing() -> None:
    def succeeded() -> None:
        raise SucceededError

    call = Call(succeeded, 0, keeps_turn=False)
    with pytest.raises(SucceededError):
        call.run()
    assert not call.returned


def test_a_timer_is_due_once_in_each_period_as_long_as_that_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, periods = Clock(), [10.0]
    monkeypatch.setattr(calls.time, "monotonic", clock)
    timer = Timer(lambda: periods[-1], lambda: None)
    clock.advance(9.0)
    assert not timer.is_due()
    clock.advance(1.0)
    assert timer.is_due()
    assert not timer.is_due()
    periods.append(2.0)
    clock.advance(2.0)
    assert timer.is_due()
    periods.append(float("inf"))
    clock.advance(1e9)
    assert not timer.is_due()
