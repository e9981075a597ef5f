"""How the energy of an interval is split over its phases: by CPU time, by wall time, and closing to the total."""

from __future__ import annotations

import math
from collections.abc import Mapping

from eco2ai_callbacks.phases.clock import Spent
from eco2ai_callbacks.phases.times import OTHER
from eco2ai_callbacks.usage import component_of

# Seconds and joules of each phase, as a record holds them.
Phases = Mapping[str, tuple[float, float]]
# Digits that a record's shares have, counted from the first digit of the interval's total; and decimals at most.
DIGITS = 6


def together(spent: Spent) -> dict[str, tuple[float, float]]:
    """Return wall time and CPU time of each phase in nanoseconds, where phases of other threads count once.

    What a phase of another thread has used of the CPU is taken from the phase that the training's thread was in then.
    Wall time belongs to the training's thread; only where that is in no phase, those of other threads share it.

    Args:
        spent: The time spent in the interval.
    """
    wall = {name: float(times[0]) for name, times in spent.own.items()}
    cpu = {name: float(times[1]) for name, times in spent.own.items()}
    lacking = 0.0
    for around in {key[1] for key in spent.beside}:
        wanted = {key[0]: times for key, times in spent.beside.items() if key[1] == around}
        lacking += _take(cpu, (around,), {name: float(times[1]) for name, times in wanted.items()})
        if around == OTHER:
            _take(wall, (OTHER,), {name: float(times[0]) for name, times in wanted.items()})
    if lacking > 0:
        # The phase was not the one that most of the time was spent beside.
        names = {key[0]: float(times[1]) for key, times in spent.beside.items()}
        whole = math.fsum(names.values())
        _take(cpu, tuple(spent.own), {name: value * lacking / whole for name, value in names.items()})
    return {name: (wall.get(name, 0.0), cpu.get(name, 0.0)) for name in {**wall, **cpu}}


def _take(times: dict[str, float], places: tuple[str, ...], wanted: Mapping[str, float]) -> float:
    """Move times from some phases to others, as far as there are any, and return what is lacking."""
    there, whole = math.fsum(times.get(place, 0.0) for place in places), math.fsum(wanted.values())
    moved = min(there, whole)
    if moved > 0:
        for place in places:
            times[place] = times.get(place, 0.0) * (1 - moved / there)
        for name, value in wanted.items():
            times[name] = times.get(name, 0.0) + value * moved / whole
    return whole - moved


class Split:
    """A running split of energy over phases, interval by interval: the finer these are, the surer is the split.

    Energy of the processors follows the CPU time of this process, all other energy the wall time.
    """

    __slots__ = ("_joules", "_wall")

    def __init__(self) -> None:
        self._wall: dict[str, float] = {}
        self._joules: dict[str, dict[str, float]] = {}

    def add(self, joules: Mapping[str, float], spent: Spent) -> None:
        """Add an interval.

        Args:
            joules: Its joules by channel.
            spent: The time spent in it.
        """
        times = together(spent)
        wall = {name: time[0] for name, time in times.items()}
        cpu = {name: time[1] for name, time in times.items()}
        for name, value in wall.items():
            self._wall[name] = self._wall.get(name, 0.0) + value
        for channel, value in joules.items():
            weights = cpu if component_of(channel) == "cpu" and any(cpu.values()) else wall
            whole = math.fsum(weights.values())
            held = self._joules.setdefault(channel, {})
            for name, weight in weights.items():
                if weight and whole:
                    held[name] = held.get(name, 0.0) + value * weight / whole

    def closed(self, seconds: float, joules: Mapping[str, float]) -> dict[str, tuple[float, float]]:
        """Return seconds and joules of each phase, the largest first; their sums are those of the interval.

        Args:
            seconds: Length of the interval.
            joules: Its joules by channel.
        """
        spread = dict.fromkeys(self._wall, 0.0) or {OTHER: 0.0}
        for channel, value in joules.items():
            weights = self._joules.get(channel) or {}
            whole = math.fsum(weights.values())
            if whole <= 0:
                weights, whole = self._wall, math.fsum(self._wall.values())
            if whole <= 0:
                weights, whole = {OTHER: 1.0}, 1.0
            for name, weight in weights.items():
                spread[name] = spread.get(name, 0.0) + value * weight / whole
        lasted = math.fsum(self._wall.values())
        lengths = {name: seconds * self._wall.get(name, 0.0) / lasted if lasted else 0.0 for name in spread}
        times, energies = _closing(lengths, seconds), _closing(spread, math.fsum(joules.values()))
        found = {name: (times[name], energies[name]) for name in spread if times[name] or energies[name]}
        return dict(sorted(found.items(), key=lambda item: item[1], reverse=True))


def _closing(parts: Mapping[str, float], total: float) -> dict[str, float]:
    """Return parts rounded, of which the largest takes what is left of the total."""
    if not total > 0 or not math.isfinite(total):
        return dict.fromkeys(parts, 0.0)
    digits = min(DIGITS, DIGITS - 1 - math.floor(math.log10(total)))
    rounded = {name: round(value, digits) for name, value in parts.items()}
    last = max(parts, key=lambda name: parts[name])
    rest = total - math.fsum(value for name, value in rounded.items() if name != last)
    return rounded | {last: max(0.0, round(rest, digits))}


def added(one: Phases, other: Phases) -> dict[str, tuple[float, float]]:
    """Return the sum of two splits.

    Args:
        one: A split.
        other: Another one.
    """
    found = dict(one)
    for name, (seconds, joules) in other.items():
        held = found.get(name, (0.0, 0.0))
        found[name] = held[0] + seconds, held[1] + joules
    return found
