"""Whether all ranks of a group come to the same point, by what they write into the group's store."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

_LOOK_S = 0.01
# Looks into the store that all waiting ranks of a job make together in a second: one thread of rank 0's host or the
# launcher's answers them all.
_LOOKS_PER_S = 10_000
# Number of ranks that have asked the first one for its word, and the word with the number at which it was given. All
# other keys begin with the word.
_BELL = "eco2ai/bell"
_RUNG = "eco2ai/rung"


class Meeting:
    """One rank's part in the meetings of a group: at the start of a run, and at its end.

    The store may be older than the group: ``torchrun`` keeps it where it starts ranks again, with all that those of
    before have written. So the first rank gives each meeting a word of its own, and tells it to those that ask while it
    waits for them. What stands in the store without this word is nobody's.

    Args:
        store: Opens a store of ``torch.distributed`` that the ranks share.
        rank: Number of this rank.
        size: Number of ranks.
    """

    def __init__(self, store: Callable[[], Any], rank: int, size: int) -> None:
        self._open, self._rank, self._size = store, rank, size
        self._word = os.urandom(8).hex() if rank == 0 else None
        # All ranks meet alike, so they count alike.
        self._turn = 0
        self._pause_s = max(_LOOK_S, size / _LOOKS_PER_S)

    def all_ask(self, wait_s: float) -> bool:
        """Return whether all ranks call this at about the same time; the result is the same on all that do.

        Once a rank has left, those that are waiting wait no longer.

        Args:
            wait_s: Seconds that this rank waits for the others.
        """
        store, until = self._open(), time.monotonic() + wait_s
        if self._word is None:
            self._word = self._first_s_word(store, until)
        if self._word is None:
            return False
        place = f"eco2ai/{self._word}/{self._turn}"
        self._turn += 1
        answer = f"{place}/answer"
        if store.add(f"{place}/asking", 1) == self._size:
            store.compare_set(answer, "", "all")
        while not store.check([answer]):
            if self._rank == 0:
                self._tell(store)
            if time.monotonic() > until or store.check([self._gone]):
                # The first answer is kept, if the last rank arrives at this very moment.
                store.compare_set(answer, "", "some")
            time.sleep(self._pause_s)
        return bool(store.get(answer) == b"all")

    def leave(self) -> None:
        """Tell the ranks that this one ends early: nobody waits for it."""
        if self._word is not None:
            self._open().set(self._gone, "yes")

    @property
    def _gone(self) -> str:
        return f"eco2ai/{self._word}/gone"

    def _tell(self, store: Any) -> None:
        """Give the word to the ranks that have asked for it."""
        store.set(_RUNG, f"{self._word} {store.add(_BELL, 0)}")

    def _first_s_word(self, store: Any, until: float) -> str | None:
        """Ask for the word, and return what the first rank answers; ``None`` where it does not."""
        number = store.add(_BELL, 1)
        while time.monotonic() <= until:
            if store.check([_RUNG]):
                word, _, given = store.get(_RUNG).decode().partition(" ")
                # One with a lower number was given before this rank asked, maybe by a rank that is no more.
                if int(given) >= number:
                    return str(word)
            time.sleep(self._pause_s)
        return None
