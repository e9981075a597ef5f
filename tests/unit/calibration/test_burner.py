from __future__ import annotations

import os

from eco2ai_callbacks.calibration.burner import PERIOD_S, _line, burn, cpu_work
from eco2ai_callbacks.testing import Clock


def worked(parts: list[tuple[str, int]]) -> list[float]:
    """Return how long was worked in each period, for an input of parts and the periods for which each holds."""
    clock = Clock()
    script = [text for part, periods in parts for text in [part, *[""] * (periods - 1)]]
    done: list[float] = []
    since = [0.0]

    def line(seconds: float | None) -> str | None:
        done.append(clock() - since[0])
        clock.advance(seconds or 0.0)
        since[0] = clock()
        return script.pop(0) if script else None

    burn(lambda: clock.advance(0.001), line, clock)
    return [round(seconds, 6) for seconds in done]


def test_work_takes_the_wanted_part_of_each_period() -> None:
    half, full = PERIOD_S / 2, PERIOD_S
    found = worked([("0.5", 2), ("1", 2), ("0", 1), ("7", 1), ("-1", 1)])
    assert [round(seconds, 3) for seconds in found] == [0.0, half, half, full, full, 0.0, full, 0.0]


def test_the_last_of_several_lines_counts_and_the_end_of_the_input_is_the_end() -> None:
    reading, writing = os.pipe()
    try:
        assert _line(reading, 0.0) == ""
        os.write(writing, b"0.1\n0.9\n")
        assert _line(reading, 0.0) == "0.9"
        os.close(writing)
        assert _line(reading, None) is None
    finally:
        os.close(reading)


def test_a_piece_of_work_ends() -> None:
    cpu_work()
