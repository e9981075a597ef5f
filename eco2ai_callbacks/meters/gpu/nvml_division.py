"""Divide a board's energy among its parts: by their sizes, or by who has kept it busy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from eco2ai_callbacks.meters.gpu import nvml_driver as driver
from eco2ai_callbacks.meters.gpu.nvml_activity import Activity, MigActivity, ProcessActivity, Share
from eco2ai_callbacks.meters.gpu.nvml_board import Board
from eco2ai_callbacks.meters.gpu.nvml_domains import virtual_note
from eco2ai_callbacks.meters.gpu.selection import Part
from eco2ai_callbacks.usage import Method


@dataclass(slots=True)
class Division:
    """The parts of one board.

    Args:
        board: The board.
        activity: Who keeps it busy; ``None`` where that is not known, so that the parts' sizes count.
        note: What limits the attribution of all of its parts.
    """

    board: Board
    activity: Activity | None = None
    note: str = ""
    # Of each part: what it has used, and by how much the band is wider below and above.
    _joules: dict[str, float] = field(default_factory=dict)
    _below_j: dict[str, float] = field(default_factory=dict)
    _above_j: dict[str, float] = field(default_factory=dict)
    _divided_j: float = 0.0
    _last: Mapping[str, Share] = field(default_factory=dict)

    @property
    def sampled(self) -> bool:
        """Whether power or activity is sampled now: it must be read in short periods."""
        by_activity = self.activity is not None and self.activity.sampled
        return not self.board.retired and (by_activity or not self.board.counter)

    def update(self) -> None:
        """Divide what the board has used since the last call."""
        if self.activity is None:
            return
        step_j = self.board.joules - self._divided_j
        if step_j <= 0:  # what the counter's next step holds is divided by the activity since now
            return
        self._divided_j = self.board.joules
        self._ask(self.activity)
        for part in self.board.parts:
            share = self._last.get(part.uuid) or Share(part.share or 0.0, part.share or 0.0)
            for sums, factor in (
                (self._joules, share.middle),
                (self._below_j, share.middle - share.low),
                (self._above_j, share.high - share.middle),
            ):
                sums[part.uuid] = sums.get(part.uuid, 0.0) + step_j * factor

    def joules(self, part: Part) -> float:
        """Return what a part has used since the board was opened."""
        if self.activity is None:
            return self.board.joules * (part.share or 0.0)
        return self._joules.get(part.uuid, 0.0)

    def method(self, part: Part) -> Method:
        """Return the method of a part's joules: an estimate where the board's energy is divided by activity."""
        method = self.board.method(part)
        estimated = "" if self.activity is None else "estimated by activity"
        method = dataclasses.replace(method, note=", ".join(filter(None, (method.note, self.note, estimated))))
        if self.activity is None:
            return method
        below_j, above_j = method.gap_j
        return dataclasses.replace(
            method,
            name=f"{method.name}:{self.activity.name}",
            counter=False,
            sensor=False,
            scope=self.activity.scope,
            gap_j=(below_j + self._below_j.get(part.uuid, 0.0), above_j + self._above_j.get(part.uuid, 0.0)),
        )

    def close(self) -> None:
        """Release what the activity holds; the library must still be initialised."""
        if self.activity is not None:
            self.activity.close()

    def _ask(self, activity: Activity) -> None:
        # A driver that has hung once is asked nothing that can be done without.
        answer: Mapping[str, Share] | int | None = driver.TIMEOUT
        if "slow" not in self.board.failures:
            answer = activity.shares(self.board.handle)
        if isinstance(answer, int):
            why = driver.reason(answer)
            self.board.fail("activity", f"who keeps it busy is not known ({why}), the last known share counts")
        elif answer is not None:
            self._last = answer


def divided(board: Board, pids: Callable[[], Collection[int]] | None) -> Division:
    """Return a board with what divides its energy.

    Args:
        board: The open board.
        pids: Returns the job's processes; ``None`` where their part of a shared board is not wanted, or where their ids
            are not the driver's.
    """
    activity: MigActivity | ProcessActivity | None = None
    whole = any(part.mig is None for part in board.parts)
    if not whole:
        activity = MigActivity(board.nvml, board.gpu, board.clock)
    elif board.shared and pids is not None and not board.module and not board.gpu.mig_slices:
        activity = ProcessActivity(board.nvml, board.gpu.uuid, pids)
    known = activity is not None and activity.open(board.handle)
    return Division(board, activity if known else None, virtual_note(board.nvml, board.handle))
