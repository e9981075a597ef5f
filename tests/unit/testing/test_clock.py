from __future__ import annotations

from eco2ai_callbacks.testing.clock import Clock


def test_only_the_test_moves_it() -> None:
    clock = Clock(10.0)
    assert clock() == clock() == 10.0
    clock.advance(0.5)
    clock.advance(2.0)
    assert clock() == 12.5
