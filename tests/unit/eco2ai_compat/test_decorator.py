"""A tracker around each call."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.eco2ai_compat.decorator import track
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.testing import Clock


def hours() -> list[float]:
    with Path("emission.csv").open(newline="") as file:
        return [float(row["duration(s)"]) / 3600 for row in csv.DictReader(file)]


@pytest.fixture
def measured(machine: Platform) -> Callable[..., Any]:
    return track(platform=machine, alpha_2_code="FR", project_name="demo")


def test_a_function_is_measured_at_each_call(measured: Callable[..., Any], clock: Clock) -> None:
    @measured
    def work(count: int, *, fail: bool = False) -> int:
        """Work."""
        clock.advance(3600.0 * count)
        if fail:
            raise KeyError("mine")
        return count

    assert [work(1), work(2)] == [1, 2]
    with pytest.raises(KeyError, match="mine"):
        work(3, fail=True)
    assert hours() == [1.0, 2.0, 3.0]
    assert (work.__name__, work.__doc__) == ("work", "Work.")


def test_a_generator_is_measured_from_its_first_step_to_its_end(measured: Callable[..., Any], clock: Clock) -> None:
    @measured
    def numbers() -> Iterator[int]:
        for number in range(3):
            clock.advance(3600.0)
            yield number

    assert list(numbers()) == [0, 1, 2]
    steps = numbers()
    next(steps)
    steps.close()
    assert hours() == [3.0, 1.0]


def test_coroutines_and_async_generators_are_measured(measured: Callable[..., Any], clock: Clock) -> None:
    @measured
    async def work() -> int:
        await asyncio.sleep(0)
        clock.advance(3600.0)
        return 7

    @measured
    async def numbers() -> AsyncIterator[int]:
        for number in range(2):
            clock.advance(3600.0)
            yield number

    async def both() -> list[int]:
        return [await work(), *[number async for number in numbers()]]

    assert asyncio.run(both()) == [7, 0, 1]
    assert hours() == [1.0, 2.0]


def test_bare_and_with_empty_brackets_it_takes_what_was_saved() -> None:
    def work() -> int:
        return 7

    assert track(work) is not work
    assert track(func=work).__wrapped__ is track()(work).__wrapped__ is work
    assert not Path("emission.csv").exists()


def test_wrong_arguments_are_refused_where_the_function_is_decorated() -> None:
    with pytest.raises(SettingsError, match=r"^cpu_processes='mine' "):
        track(cpu_processes="mine")
    with pytest.raises(TypeError, match="projectname"):
        track(projectname="demo")
    with pytest.raises(SettingsError, match=r"^track takes a function, or arguments by name; it was given 'demo'"):
        track("demo")
