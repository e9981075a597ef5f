"""The epochs of a run over its ranks, as a sequence of plain objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from eco2ai_callbacks.report.epoch_table import Epoch, Key, Stage, Table
from eco2ai_callbacks.report.sums import parallel


class Epochs(Sequence[Epoch]):
    """The epochs of a run over all ranks, in the order of their numbers; each is made when it is looked at.

    Args:
        tables: The table of each rank; the first rank first.
    """

    __slots__ = ("_keys", "_tables")

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = [table for table in tables if len(table)]
        if len(self._tables) == 1 and _is_sorted(self._tables[0]):
            self._keys: Sequence[Key] | None = None
        else:
            self._keys = sorted({key for table in self._tables for key in zip(*table.keys, strict=True)})

    def __len__(self) -> int:
        if self._keys is None:
            return len(self._tables[0])
        return len(self._keys)

    @overload
    def __getitem__(self, place: int) -> Epoch: ...

    @overload
    def __getitem__(self, place: slice) -> list[Epoch]: ...

    def __getitem__(self, place: int | slice) -> Epoch | list[Epoch]:
        """Return an epoch, or a list of them."""
        if isinstance(place, slice):
            return [self._at(each) for each in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(f"a run of {len(self)} epochs has no epoch at place {place}")
        return self._at(place % len(self))

    def __iter__(self) -> Iterator[Epoch]:
        return (self._at(place) for place in range(len(self)))

    def _at(self, place: int) -> Epoch:
        if self._keys is None:
            return self._tables[0].epoch(place)
        key = self._keys[place]
        found = [table.epoch(row) for table in self._tables if (row := table.find(*key)) is not None]
        return found[0] if len(found) == 1 else _of_ranks(found)


def _is_sorted(table: Table) -> bool:
    numbers, attempts = table.keys
    last: Key = (-(2**63) - 1, 0)
    for key in zip(numbers, attempts, strict=True):
        if key <= last:
            return False
        last = key
    return True


def _of_ranks(parts: Sequence[Epoch]) -> Epoch:
    """Return an epoch of ranks that ran side by side: its metrics and its times are those of the first one."""
    stages: dict[str, Stage] = {}
    metrics: dict[str, float] = {}
    for part in parts:
        for name, stage in part.stages.items():
            held = stages.get(name)
            stages[name] = stage if held is None else Stage(held.seconds, held.joules + stage.joules)
        metrics = {**part.metrics, **metrics}
    return Epoch(
        parts[0].epoch,
        parts[0].attempt,
        parallel(part.sum for part in parts),
        stages,
        metrics,
        min((part.started for part in parts if part.started is not None), default=None),
        _whole(part.samples for part in parts),
        _whole(part.tokens for part in parts),
        all(part.closed for part in parts),
    )


def _whole(counts: Iterator[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
