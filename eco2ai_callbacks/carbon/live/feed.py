"""Figures of one live source: asked for in a thread of its own, kept, and asked for again when they are old."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from eco2ai_callbacks.carbon.live import cache
from eco2ai_callbacks.carbon.live.fetch import Reply, get
from eco2ai_callbacks.carbon.live.source import Request, Source, Unusable, WithLogin
from eco2ai_callbacks.carbon.series import Mean, Series, Span
from eco2ai_callbacks.guard import Guard

# Wait after a failure, in seconds: doubled each time.
FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 3600.0
# A source is asked no more often, in seconds.
SHORTEST_S = 900.0
# How far behind the newest figure may be, in seconds: a source publishes some time after the fact.
STALE_S = 3 * 3600.0
# A clock that is off by more, in seconds, puts energy into the wrong hours.
SKEW_S = 300.0
# How long figures are kept, in seconds.
_KEPT_S = 14 * 86_400.0


class Feed:
    """What a live source knows. Nothing waits for it: times whose figures have not come yet are gaps.

    A thread lives for one round of requests, which the limits of :mod:`eco2ai_callbacks.carbon.live.fetch` end.

    Args:
        source: The source.
        token: Its token, or user and password with ``:`` between them.
        guard: Records failures.
        fetch: Returns the reply to a request.
        folder: Where figures are kept on the disk.
        clock: The time in Unix seconds.
    """

    def __init__(
        self,
        source: Source,
        token: str,
        guard: Guard,
        fetch: Callable[[Request], Reply] = get,
        folder: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.source: str = source.title
        self.kind: str = source.kind
        self._asked_source = source
        self._token = token
        self._guard = guard
        self._fetch = fetch
        self._folder = folder
        self._clock = clock
        # Replaced as a whole: another thread reads it.
        self._series = Series((), source.title, source.kind)
        self._due_s = -math.inf
        self._failed = 0
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def mean(self, begin_s: float, end_s: float) -> Mean:
        """Return the mean over a period by what is known now, and ask for more where that is due."""
        self._ask()
        return self._series.mean(begin_s, end_s)

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for the requests that are under way."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _ask(self) -> None:
        if self._clock() < self._due_s or not self._lock.acquire(blocking=False):
            return
        try:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._round, name="eco2ai-intensity", daemon=True)
                self._thread.start()
        finally:
            self._lock.release()

    def _round(self) -> None:
        """Get the figures of the disk or of the source, and decide when to ask again."""
        if self._guard.call(f"intensity: {self.source}", self._renew, False):
            self._failed = 0
            return
        wait_s = min(FIRST_WAIT_S * 2.0 ** min(self._failed, 10), LONGEST_WAIT_S)
        self._failed += 1
        self._due_s = max(self._due_s, self._clock() + wait_s)

    def _renew(self) -> bool:
        """Return whether there are new figures."""
        now_s, source = self._clock(), self._asked_source
        kept = None if self._folder is None else cache.load(self._folder, source.key)
        if kept is not None and kept.asked_s <= now_s < self._until(kept.asked_s, kept.spans):
            self._take(kept.spans)
            self._due_s = self._until(kept.asked_s, kept.spans)
            return True
        try:
            spans, ahead_s = ask(source, self._token, now_s, self._fetch)
        except Unusable as why:
            self._guard.record(f"intensity: {self.source}: {why}")
            self._due_s = now_s + (why.wait_s or 0.0)
            return False
        self._take(spans)
        self._due_s = self._until(now_s, spans)
        if self._folder is not None:
            cache.store(self._folder, source.key, now_s, self._series.spans)
        for doubt in _doubts(spans, now_s, ahead_s):
            self._guard.record(f"intensity: {self.source}: {doubt}")
        return True

    def _until(self, asked_s: float, spans: Iterable[Span]) -> float:
        """Return until when figures are used: a source without a forecast has news when its newest figure ends."""
        newest_s = max((span.end_s for span in spans), default=0.0)
        return asked_s + min(max(newest_s - asked_s, SHORTEST_S), self._asked_source.refresh_s)

    def _take(self, spans: Iterable[Span]) -> None:
        oldest_s = self._clock() - _KEPT_S
        merged = [span for span in merge(self._series.spans, spans) if span.end_s > oldest_s]
        self._series = Series(merged, self.source, self.kind)


def ask(
    source: Source, token: str, now_s: float, fetch: Callable[[Request], Reply] = get, *, forecast: bool = False
) -> tuple[list[Span], float]:
    """Return a source's figures, and by how many seconds this machine's clock is ahead of its.

    Raises:
        Unusable: It gives none.
    """
    found: list[Span] = []
    ahead_s = 0.0
    if isinstance(source, WithLogin):
        token = source.token(fetch(source.login(token)).value)
    for request in source.requests(now_s, token, forecast=forecast):
        reply = fetch(request)
        found = merge(found, source.spans(reply.value))
        ahead_s = reply.ahead_s or ahead_s
    if not found:
        raise Unusable("it has no figure for this time")
    return found, ahead_s


def merge(old: Iterable[Span], new: Iterable[Span]) -> list[Span]:
    """Return both, in order; where two are for the same time, the new one.

    Raises:
        Unusable: Two of the new ones are for the same time.
    """
    fresh = sorted(set(new))
    for one, other in pairwise(fresh):
        if other.begin_s < one.end_s:
            raise Unusable("its reply has two figures for the same time")
    result = list(fresh)
    place = 0
    for span in sorted(old):
        while place < len(fresh) and fresh[place].end_s <= span.begin_s:
            place += 1
        if place == len(fresh) or fresh[place].begin_s >= span.end_s:
            result.append(span)
    return sorted(result)


def _doubts(spans: Iterable[Span], now_s: float, ahead_s: float) -> list[str]:
    found = []
    newest_s = max((span.end_s for span in spans), default=0.0)
    if newest_s < now_s - STALE_S:
        when = datetime.fromtimestamp(newest_s, UTC).isoformat(timespec="minutes")
        found.append(f"its newest figure ends at '{when}'")
    if abs(ahead_s) > SKEW_S:
        way = "ahead of" if ahead_s > 0 else "behind"
        found.append(f"this machine's clock is {abs(ahead_s):.0f} s {way} its own, so energy falls into wrong hours")
    return found
