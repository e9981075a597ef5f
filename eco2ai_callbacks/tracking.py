"""``track``: a block or a function, measured with one line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, Unpack, cast, overload

from eco2ai_callbacks.carbon import grid
from eco2ai_callbacks.settings import Settings, SettingsArgs, resolve
from eco2ai_callbacks.tracker import Tracker

P = ParamSpec("P")
R = TypeVar("R")


class _Track:
    """A block or a function that is measured, with a tracker of its own each time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._trackers: list[Tracker] = []

    def __enter__(self) -> Tracker:
        self._trackers.append(Tracker(self._settings))
        return self._trackers[-1].start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._trackers.pop().__exit__(kind, error, trace)

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """The function, measured at each call."""
        settings = self._settings
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def measured_later(*args: P.args, **kwargs: P.kwargs) -> Any:
                with Tracker(settings):
                    return await function(*args, **kwargs)

            return cast(Callable[P, R], measured_later)

        @functools.wraps(function)
        def measured(*args: P.args, **kwargs: P.kwargs) -> R:
            with Tracker(settings):
                return function(*args, **kwargs)

        return measured


@overload
def track(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def track(**args: Unpack[SettingsArgs]) -> _Track: ...
def track(function: Callable[..., Any] | None = None, /, **args: Any) -> Any:
    """Measure a block or a function.

    Args:
        function: The function, where this stands as a bare decorator.
        args: Settings, as for :class:`Tracker`.

    Raises:
        SettingsError: A setting has a value that is not accepted.

    Example:
        >>> with track(project="demo", log_file=None) as run:  # doctest: +SKIP
        ...     train()
        >>> @track(region="FR")  # doctest: +SKIP
        ... def train(): ...
    """
    settings = resolve(args)
    grid.check(settings)
    measured = _Track(settings)
    return measured if function is None else measured(function)
