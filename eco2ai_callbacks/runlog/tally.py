"""Running sum of records: holds numbers only, so that a log of any length is summed in little memory."""

from __future__ import annotations

from collections.abc import Mapping

from eco2ai_callbacks.record import ADDING_EVENTS
from eco2ai_callbacks.usage import GRAMS_PER_KG, JOULES_PER_KWH, Usage


class Tally:
    """The sum of records that are added in the order of the log.

    Marks add up, and so does usage that a ``start`` record carries over. A heartbeat is part of the sum only while it
    is the last of its writer's marks and heartbeats: it then holds an interrupted writer's usage since its last mark.
    """

    __slots__ = ("_beats", "_cost", "_grams", "_joules", "_seconds", "lines")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._joules: dict[str, float] = {}
        self._grams: float | None = None
        self._cost: float | None = None
        self._beats: dict[str, Usage] = {}
        self.lines: int = 0

    @property
    def usage(self) -> Usage:
        """The sum so far. Energy that was carried over has the channel ``carried``."""
        result = Usage(self._seconds, dict(self._joules), self._grams, self._cost)
        for beat in self._beats.values():
            result += beat
        return result

    def add(
        self,
        writer: str,
        event: str,
        seconds: float,
        joules: Mapping[str, float],
        co2_kg: float | None,
        cost: float | None,
        carried: Mapping[str, float | None] | None = None,
    ) -> None:
        """Add a record by its fields."""
        self.lines += 1
        grams = None if co2_kg is None else co2_kg * GRAMS_PER_KG
        if event == "heartbeat":
            self._beats[writer] = Usage(seconds, dict(joules), grams, cost)
            return
        if event in ADDING_EVENTS:
            if self._beats:
                self._beats.pop(writer, None)
            self._plus(seconds, joules, grams, cost)
        elif event == "start" and carried:
            usage = carried_usage(carried)
            self._plus(usage.seconds, usage.joules, usage.grams, usage.cost)

    def _plus(self, seconds: float, joules: Mapping[str, float], grams: float | None, cost: float | None) -> None:
        self._seconds += seconds
        sums = self._joules
        for channel, value in joules.items():
            sums[channel] = sums.get(channel, 0.0) + value
        if grams is not None:
            self._grams = grams if self._grams is None else self._grams + grams
        if cost is not None:
            self._cost = cost if self._cost is None else self._cost + cost


def carried_usage(carried: Mapping[str, float | None]) -> Usage:
    """Return the figures that a checkpoint held and the log did not, as usage."""
    energy, co2 = carried.get("energy_kwh"), carried.get("co2_kg")
    return Usage(
        carried.get("seconds") or 0.0,
        {} if energy is None else {"carried": energy * JOULES_PER_KWH},
        None if co2 is None else co2 * GRAMS_PER_KG,
        carried.get("cost"),
    )
