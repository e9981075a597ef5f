"""Objects of which a process has one."""

from __future__ import annotations

from typing import Any, Self


class OfProcess:
    """An object that knows the trackers of its process, and is part of a callback that may be copied or pickled.

    A copy measures in the same process, and holds the same object. Another process, to which a callback is sent, has
    trackers of its own, and gets an empty one.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self
