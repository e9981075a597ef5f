from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any

import pytest

from eco2ai_callbacks.session.wrapping import around_each_call


class Around:
    """Says how often it was entered, and by what each was left."""

    def __init__(self) -> None:
        self.entered = 0
        self.left: list[type[BaseException] | None] = []

    def __call__(self) -> contextlib.AbstractContextManager[None]:
        return self._block()

    @contextlib.contextmanager
    def _block(self) -> Iterator[None]:
        self.entered += 1
        try:
            yield
        except BaseException as error:
            self.left.append(type(error))
            raise
        else:
            self.left.append(None)


@pytest.fixture
def around() -> Around:
    return Around()


def echo() -> Generator[Any, Any, str]:
    """Say what was sent or thrown."""
    said: Any = "ready"
    while said != "end":
        try:
            said = yield said
        except ValueError as error:
            said = f"caught {error}"
    return "returned"


async def echo_later() -> AsyncGenerator[Any, Any]:
    """Say later what was sent or thrown."""
    said: Any = "ready"
    while said != "end":
        await asyncio.sleep(0)
        try:
            said = yield said
        except (ValueError, StopAsyncIteration) as error:
            said = f"caught {error}"


async def coroutine() -> str:
    return "done"


def plain() -> str:
    return "done"


@pytest.mark.parametrize("function", [echo, echo_later, coroutine, plain])
def test_a_function_stays_what_it_was(function: Callable[..., Any], around: Around):
    found = around_each_call(function, around)
    assert (found.__name__, found.__doc__, found.__wrapped__) == (function.__name__, function.__doc__, function)
    for kind in (inspect.isgeneratorfunction, inspect.isasyncgenfunction, inspect.iscoroutinefunction):
        assert kind(found) is kind(function)


def test_a_call_and_a_coroutine_are_inside_to_their_end(around: Around):
    assert around_each_call(plain, around)() == "done"
    assert asyncio.run(around_each_call(coroutine, around)()) == "done"
    assert around.left == [None, None]


class TestGenerators:
    def test_nothing_begins_before_the_first_step(self, around: Around):
        around_each_call(echo, around)().close()
        assert around.entered == 0

    def test_what_is_sent_thrown_and_returned_passes(self, around: Around):
        found = around_each_call(echo, around)()
        assert next(found) == "ready"
        assert found.send(1) == 1
        assert found.throw(ValueError("it")) == "caught it"
        assert (around.entered, around.left) == (1, [])
        with pytest.raises(StopIteration) as stopped:
            found.send("end")
        assert stopped.value.value == "returned"
        assert around.left == [None]

    def test_an_exception_passes_as_it_is(self, around: Around):
        found, error = around_each_call(echo, around)(), KeyError("theirs")
        next(found)
        with pytest.raises(KeyError) as raised:
            found.throw(error)
        assert raised.value is error
        assert around.left == [KeyError]

    def test_one_that_is_closed_or_abandoned_is_left_by_that(self, around: Around):
        found = around_each_call(echo, around)()
        next(found)
        found.close()
        next(around_each_call(echo, around)())
        gc.collect()
        assert around.left == [GeneratorExit] * 2


class TestAsyncGenerators:
    def test_what_is_sent_and_thrown_passes(self, around: Around):
        async def main() -> None:
            found = around_each_call(echo_later, around)()
            assert around.entered == 0
            assert await anext(found) == "ready"
            assert await found.asend(1) == 1
            assert await found.athrow(ValueError("it")) == "caught it"
            assert await found.athrow(StopAsyncIteration("that")) == "caught that"
            assert (around.entered, around.left) == (1, [])
            with pytest.raises(StopAsyncIteration):
                await found.asend("end")

        asyncio.run(main())
        assert around.left == [None]

    def test_an_exception_passes_as_it_is(self, around: Around):
        error = KeyError("theirs")

        async def main() -> None:
            found = around_each_call(echo_later, around)()
            await anext(found)
            with pytest.raises(KeyError) as raised:
                await found.athrow(error)
            assert raised.value is error

        asyncio.run(main())
        assert around.left == [KeyError]

    def test_one_that_is_closed_cleans_up_first(self, around: Around):
        order: list[str] = []

        async def slow() -> AsyncGenerator[int, None]:
            try:
                yield 1
            finally:
                await asyncio.sleep(0)
                order.append(f"cleaned up, left {len(around.left)}")

        async def main() -> None:
            found = around_each_call(slow, around)()
            await anext(found)
            await found.aclose()

        asyncio.run(main())
        assert order == ["cleaned up, left 0"]
        assert around.left == [GeneratorExit]

    @pytest.mark.parametrize("held", [True, False], ids=["open at the end", "abandoned"])
    def test_the_loop_closes_what_is_left_without_a_word(self, around: Around, held: bool):
        said: list[dict[str, Any]] = []
        cleaned: list[int] = []
        kept: list[Any] = []

        async def slow() -> AsyncGenerator[int, None]:
            try:
                yield 1
            finally:
                await asyncio.sleep(0)
                cleaned.append(1)

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
            for _ in range(5):
                found = around_each_call(slow, around)()
                await anext(found)
                if held:
                    kept.append(found)
            del found
            await asyncio.sleep(0 if held else 0.05)  # the loop closes what is abandoned in a task of its own

        asyncio.run(main())
        assert said == []
        assert cleaned == [1] * 5
        assert around.left == [GeneratorExit] * 5

    def test_a_task_that_is_cancelled_leaves_it(self, around: Around):
        async def waits() -> AsyncGenerator[int, None]:
            await asyncio.sleep(60)
            yield 1

        async def main() -> None:
            task = asyncio.ensure_future(anext(around_each_call(waits, around)()))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert around.left == [asyncio.CancelledError]
