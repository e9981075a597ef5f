"""A context manager around each call of a function: a plain one, a coroutine or a generator."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")
Around = Callable[[], AbstractContextManager[Any]]


def around_each_call(function: Callable[P, R], around: Around) -> Callable[P, R]:
    """Return the function with a context manager around each of its calls.

    A coroutine is inside of it until it is done. A generator is inside of it from its first step until it is exhausted,
    raises or is closed; one that is abandoned is closed when it is collected.

    Args:
        function: The function.
        around: Returns the context manager of one call.
    """
    import inspect  # for a decorated function only; it takes long to import

    wrapped: Callable[..., Any]
    if inspect.iscoroutinefunction(function):
        wrapped = _coroutine(function, around)
    elif inspect.isgeneratorfunction(function):
        wrapped = _generator(function, around)
    elif inspect.isasyncgenfunction(function):
        wrapped = _async_generator(function, around)
    else:
        wrapped = _plain(function, around)
    return cast(Callable[P, R], functools.wraps(function)(wrapped))


def _plain(function: Callable[..., Any], around: Around) -> Callable[..., Any]:
    def measured(*args: Any, **kwargs: Any) -> Any:
        with around():
            return function(*args, **kwargs)

    return measured


def _coroutine(function: Callable[..., Any], around: Around) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def measured(*args: Any, **kwargs: Any) -> Any:
        with around():
            return await function(*args, **kwargs)

    return measured


def _generator(function: Callable[..., Any], around: Around) -> Callable[..., Generator[Any, Any, Any]]:
    def measured(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with around():
            return (yield from function(*args, **kwargs))

    return measured


def _async_generator(function: Callable[..., Any], around: Around) -> Callable[..., AsyncGenerator[Any, Any]]:
    async def measured(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with around():
            inner, thrown = function(*args, **kwargs), _Thrown()
            try:
                value = await _first_step(inner)
                while True:
                    sent = None
                    with thrown:
                        sent = yield value
                    if thrown.error is None:
                        value = await inner.asend(sent)
                    else:
                        value = await inner.athrow(thrown.taken())
            except StopAsyncIteration:
                return
            except GeneratorExit:
                await inner.aclose()
                raise

    return measured


class _Thrown:
    """A holder of the exception that was thrown into a generator, for the inner generator; a close passes."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, GeneratorExit):
            return False
        self.error = error
        return True

    def taken(self) -> Any:
        """Return the exception and release it: its traceback keeps the program's variables alive."""
        error, self.error = self.error, None
        return error


def _first_step(inner: AsyncGenerator[Any, Any]) -> Any:
    """Start an async generator that the outer one closes.

    It is not registered with the event loop, which would close both at its end, and log that one is running.
    """
    firstiter, finalizer = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return inner.asend(None)
    finally:
        sys.set_asyncgen_hooks(firstiter, finalizer)
