"""How often each epoch of a run was begun, in the short form in which each record repeats it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

# Ranges of epochs that a record holds, the latest. One range holds all epochs of a run that repeats none.
MOST = 32

# First epoch, last epoch, attempt.
Range = tuple[int, int, int]


class Attempts:
    """How often each epoch of a run was begun, and the same as ranges of epochs with the same attempt, for records.

    Epochs that follow each other and were begun once need no memory of their own.

    Args:
        before: How often each epoch was begun in earlier sessions of the run.
    """

    __slots__ = ("_first", "_next", "_others", "_plain", "_ranges")

    def __init__(self, before: Mapping[int, int] | None = None) -> None:
        self._ranges: list[Range] = []
        self._first = self._next = 0
        self._others: dict[int, int] = {}
        # Whether there is one range, of epochs that were begun once: most runs have no other.
        self._plain = False
        for epoch, attempt in sorted((before or {}).items()):
            self.add(epoch, attempt)

    @property
    def ranges(self) -> tuple[Range, ...]:
        """The latest ranges, in the order in which they were begun."""
        return tuple(self._ranges)

    def of(self, epoch: int) -> int:
        """Return how often an epoch was begun."""
        once = 1 if self._first <= epoch < self._next else 0
        return self._others.get(epoch, once) if self._others else once

    def begin(self, epoch: int) -> None:
        """Count an epoch that begins."""
        self.add(epoch, self.of(epoch) + 1)

    def add(self, epoch: int, attempt: int) -> None:
        """Take the epoch and the attempt of a training's record."""
        if self._plain and attempt == 1 and self._first <= epoch <= self._next:
            if epoch == self._next:
                self._next = epoch + 1
                self._ranges[0] = self._first, epoch, 1
            return
        self._count(epoch, attempt)
        self._take(epoch, attempt)
        self._plain = not self._others and self._ranges == [(self._first, self._next - 1, 1)]

    def _take(self, epoch: int, attempt: int) -> None:
        ranges = self._ranges
        for first, last, held in reversed(ranges):
            if held == attempt and first <= epoch <= last:
                return
        first, last, held = ranges[-1] if ranges else (0, 0, 0)
        if held == attempt and epoch == last + 1:
            self._ranges[-1] = first, epoch, attempt
            return
        self._ranges.append((epoch, epoch, attempt))
        del self._ranges[:-MOST]

    def _count(self, epoch: int, attempt: int) -> None:
        if attempt <= self.of(epoch):
            return
        if attempt == 1 and self._first == self._next:
            self._first, self._next = epoch, epoch + 1
        elif attempt == 1 and epoch == self._next:
            self._next += 1
        else:
            self._others[epoch] = attempt


def latest_attempts(ranges: Iterable[Sequence[int]]) -> dict[int, int]:
    """Return the latest attempt of each epoch that ranges hold."""
    result: dict[int, int] = {}
    for first, last, attempt in ranges:
        if not result:
            result = dict.fromkeys(range(first, last + 1), attempt)
            continue
        for epoch in range(first, last + 1):
            result[epoch] = max(result.get(epoch, 0), attempt)
    return result
