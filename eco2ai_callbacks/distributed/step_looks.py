"""Looks at what all ranks have used within an epoch, at steps on which they agree, and without waiting for any of them.

Ranks that train one model take the same number of steps, so a decision to stop must take effect at the same step on
all of them: one that goes on alone would wait for the others in its next collective. Each rank tells what it has used
at a step that all know. At a later one the first rank that comes there adds up what was told, and says at which step
the next look is; the others read the same answer. All of this goes through the group's store, not through a collective:
a rank that does not come delays nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from eco2ai_callbacks.distributed.messages import SharedStore
from eco2ai_callbacks.usage import Usage

# Counters hold whole numbers: mJ, and µg of CO2e.
_PER_J = 1000
_PER_G = 10**6
# The channel of the sum: what of it each meter has read is exchanged at the epoch's end.
RANKS = "ranks"
# A long fit looks less often, so that the store holds few looks: each after this share of the time before it.
_SHARE = 1 / 200
# A step that takes much less than the ones before must not put the next look far away.
_STRETCH = 10
# Where a GPU's work is queued, a rank may be steps ahead of another: the sum is taken after 1, 2, 4 … steps. A look at
# which some rank has told nothing by then is given up.
_TRIES = 10


class _Answer(NamedTuple):
    """What the ranks agree on at a step.

    Args:
        mj: mJ of all ranks; ``None`` where not all have told yet.
        ug: µg of CO2e of all ranks; ``None`` where it is not known on all.
        step: Where not all have told, the step of the next sum; else that of the next look.
    """

    mj: int | None
    ug: int | None
    step: int


class StepLooks:
    """The looks of one rank in one fit.

    Args:
        store: What the ranks share.
        name: A name that this fit has on all ranks and no other fit has.
        size: Number of ranks.
        period_s: Seconds between two looks at least.
    """

    def __init__(self, store: SharedStore, name: str, size: int, period_s: float) -> None:
        self._store = store
        self._name = name
        self._size = size
        self._period_s = period_s
        self._began: float | None = None
        self._steps = 0
        self._look = 0
        self._try = 0
        # Steps at which the next thing is told, and summed up.
        self._tells, self._sums = 1, 2
        self._told = False
        self._epoch = 0
        # Step and clock at which this rank told last.
        self._last: tuple[int, float] | None = None
        self._now: tuple[int, float] = (0, 0.0)

    def step(self, clock: Callable[[], float], used: Callable[[], Usage], epoch: int) -> Usage | None:
        """Count a step; return what all ranks have used since their last exchange, at a step at which all look.

        Args:
            clock: Returns monotonic seconds.
            used: Returns what this rank has used since the ranks' last exchange.
            epoch: Number of exchanges so far: what was told before one is not added to what it has summed up.

        Raises:
            Exception: The store fails. The same is tried again at the next step.
        """
        self._steps += 1
        if not self._told and self._steps >= self._tells:
            self._tell(used(), clock())
            self._told, self._epoch = True, epoch
        if self._steps < self._sums:
            return None
        answer = self._agree()
        if answer.mj is None:
            self._try, self._sums = self._try + 1, answer.step
            if self._try < _TRIES:
                return None
        self._look, self._try, self._told = self._look + 1, 0, False
        self._tells, self._sums = answer.step, answer.step + 1
        if answer.mj is None or epoch != self._epoch:
            return None
        return Usage(0.0, {RANKS: answer.mj / _PER_J}, None if answer.ug is None else answer.ug / _PER_G)

    def _key(self, what: str) -> str:
        return f"{self._name}/{self._look}/{what}"

    def _tell(self, used: Usage, now: float) -> None:
        self._began = now if self._began is None else self._began
        self._last, self._now = self._now if self._now[0] else None, (self._steps, now)
        self._store.add(self._key("mJ"), round((used.total_j or 0.0) * _PER_J))
        if used.grams is not None:
            self._store.add(self._key("ug"), round(used.grams * _PER_G))
            self._store.add(self._key("known"), 1)
        self._store.add(self._key("told"), 1)

    def _agree(self) -> _Answer:
        """Return the answer of the first rank that has come to this step."""
        key = self._key(f"sum{self._try}")
        held = self._store.agree(key, "")
        if not held:
            held = self._store.agree(key, json.dumps(self._sum()))
        return _Answer(*json.loads(held))

    def _sum(self) -> _Answer:
        if self._store.add(self._key("told"), 0) < self._size:
            return _Answer(None, None, self._steps + (2**self._try if self._try + 1 < _TRIES else 1))
        knows = self._store.add(self._key("known"), 0) == self._size
        return _Answer(
            self._store.add(self._key("mJ"), 0), self._store.add(self._key("ug"), 0) if knows else None, self._next()
        )

    def _next(self) -> int:
        """Return the step of the next look by the pace between this rank's last two."""
        if self._last is None:
            return self._steps + 1
        steps, seconds = self._now[0] - self._last[0], self._now[1] - self._last[1]
        period_s = max(self._period_s, _SHARE * (self._now[1] - (self._began or 0.0)))
        wanted = period_s * steps / seconds if seconds > 0 else _STRETCH * steps
        return self._steps + max(1, min(int(wanted), _STRETCH * steps))
