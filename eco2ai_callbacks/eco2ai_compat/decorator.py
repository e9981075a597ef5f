"""eco2AI's decorator: a tracker around each call of a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, overload

from eco2ai_callbacks.eco2ai_compat.arguments import checked
from eco2ai_callbacks.eco2ai_compat.tracker import Tracker
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.session.wrapping import around_each_call

P = ParamSpec("P")
R = TypeVar("R")


@overload
def track(func: Callable[P, R]) -> Callable[P, R]: ...
@overload
def track(**arguments: Any) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def track(func: Callable[..., Any] | None = None, **arguments: Any) -> Any:
    """Measure a function at each call, with a tracker of its own; a coroutine or a generator from its begin to its end.

    Args:
        func: The function, where this is a bare decorator.
        arguments: Arguments of :class:`Tracker`.

    Raises:
        SettingsError: An argument is not accepted.

    Example:
        >>> @track
        ... def train(): ...
        >>> @track(project_name="demo", alpha_2_code="FR")
        ... def evaluate(): ...
    """
    if not (func is None or callable(func)):
        raise SettingsError(f"track takes a function, or arguments by name; it was given {func!r:.200}.")
    if arguments:
        _check(arguments)

    def measured(function: Callable[..., Any]) -> Callable[..., Any]:
        return around_each_call(function, lambda: Tracker(**arguments))

    return measured if func is None else measured(func)


def _check(arguments: Mapping[str, Any]) -> None:
    """Check a tracker's arguments where a function is decorated, long before it is called.

    Raises:
        SettingsError: One is not accepted.
        TypeError: There is none of a name.
    """
    bound = inspect.signature(Tracker).bind(**arguments)
    bound.apply_defaults()
    values = dict(bound.arguments)
    values.pop("platform")
    checked(values, values.pop("log_file"))
