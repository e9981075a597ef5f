"""Collect what failed in the counters of a powercap tree, one sentence for each zone and kind of failure."""

from __future__ import annotations

from eco2ai_callbacks.meters.cpu.powercap import Zone


class ZoneFailures:
    """Sentences about zones, one per zone and kind of failure, with the number of times.

    Args:
        source: What they begin with.
    """

    def __init__(self, source: str = "RAPL") -> None:
        self._source = source
        self._seen: dict[tuple[str, str], tuple[int, float, str]] = {}

    def add(self, zone: Zone, clause: str, then: str = "", lost_s: float = 0.0) -> None:
        """Add a failure.

        Args:
            zone: Where it happened.
            clause: What happened, after the zone's name; the same one again adds to the number of times.
            then: How the sentence ends; the last one counts.
            lost_s: Seconds that the counter did not tell the energy of.
        """
        times, lost, _ = self._seen.get((zone.label, clause), (0, 0.0, ""))
        self._seen[zone.label, clause] = times + 1, lost + lost_s, then

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences, in the order in which their kinds appeared."""
        return tuple(
            f"{self._source}: {label} {clause}"
            + (f" ({times} times)" if times > 1 else "")
            + (f", {lost_s:.1f} s" if lost_s else "")
            + then
            for (label, clause), (times, lost_s, then) in self._seen.items()
        )
