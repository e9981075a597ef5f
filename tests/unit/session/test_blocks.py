from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack

from eco2ai_callbacks.session.blocks import Blocks


class Shared:
    """A context manager that says what each block opened and closed."""

    def __init__(self) -> None:
        self.blocks: Blocks[list[str]] = Blocks()

    def __enter__(self) -> list[str]:
        return self.blocks.enter(["open"], sys._getframe(1))

    def __exit__(self, *_: object) -> None:
        opened = self.blocks.leave(sys._getframe(1))
        if opened is not None:
            opened[:] = ["closed"]


def test_blocks_inside_of_each_other_are_left_from_the_inside():
    shared = Shared()
    with shared as outer, shared as inner:
        shared.__exit__()
        assert (outer, inner) == (["open"], ["closed"])
    assert (outer, inner) == (["closed"], ["closed"])


def test_leaving_what_was_not_entered_does_nothing():
    Shared().__exit__()


def test_generators_of_one_thread_are_left_in_any_order():
    shared = Shared()

    def block() -> Iterator[list[str]]:
        with shared as opened:
            yield opened

    first, second = block(), block()
    one, other = next(first), next(second)
    first.close()
    assert (one, other) == (["closed"], ["open"])
    second.close()
    assert other == ["closed"]


def test_a_generator_may_be_left_by_another_thread():
    shared = Shared()

    def block() -> Iterator[list[str]]:
        with shared as opened:
            yield opened

    moved = block()
    theirs = next(moved)
    with shared as ours:
        thread = threading.Thread(target=moved.close)
        thread.start()
        thread.join()
        assert (theirs, ours) == (["closed"], ["open"])


def test_what_a_call_entered_is_looked_up_by_its_task():
    shared = Shared()

    async def work(steps: int) -> bool:
        with ExitStack() as stack:
            opened = stack.enter_context(shared)
            for _ in range(steps):
                await asyncio.sleep(0)
            alive = opened == ["open"]
        return alive and opened == ["closed"]

    async def main() -> list[bool]:
        return await asyncio.gather(work(1), work(5), work(3))

    assert asyncio.run(main()) == [True] * 3


def test_what_another_thread_leaves_by_a_call_is_the_last_one():
    shared, stack = Shared(), ExitStack()
    opened = stack.enter_context(shared)
    thread = threading.Thread(target=stack.close)
    thread.start()
    thread.join()
    assert opened == ["closed"]
    with shared as again:
        assert again == ["open"]
    assert again == ["closed"]
