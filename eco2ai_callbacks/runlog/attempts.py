"""How often each epoch of a run was begun, in the short form in which each record repeats it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

# Ranges of epochs that a record holds, the latest. One range holds all epochs of a run that repeats none.
MOST = 32

# First epoch, last epoch, attempt.
Range = tuple[int, int, int]


class Attempts:
    """The latest attempt of each epoch that records of a run name, as ranges of epochs with the same attempt.

    Args:
        before: How often each epoch was begun in earlier sessions of the run.
    """

    __slots__ = ("_ranges",)

    def __init__(self, before: Mapping[int, int] | None = None) -> None:
        self._ranges: list[Range] = []
        for epoch, attempt in sorted((before or {}).items()):
            self.add(epoch, attempt)

    @property
    def ranges(self) -> tuple[Range, ...]:
        """The ranges, in the order in which they were begun."""
        return tuple(self._ranges)

    def add(self, epoch: int, attempt: int) -> None:
        """Take the epoch and the attempt of a training's record."""
        for first, last, held in reversed(self._ranges):
            if held == attempt and first <= epoch <= last:
                return
        first, last, held = self._ranges[-1] if self._ranges else (0, 0, 0)
        if held == attempt and epoch == last + 1:
            self._ranges[-1] = first, epoch, attempt
            return
        self._ranges.append((epoch, epoch, attempt))
        del self._ranges[:-MOST]


def latest_attempts(ranges: Iterable[Sequence[int]]) -> dict[int, int]:
    """Return the latest attempt of each epoch that ranges hold."""
    result: dict[int, int] = {}
    for first, last, attempt in ranges:
        for epoch in range(first, last + 1):
            result[epoch] = max(result.get(epoch, 0), attempt)
    return result
