"""Compare forms of the CPU's power over its load on published sweeps, and print how often each method's band holds.

    python tools/cpu_calibration/compare.py

Standard library and this package only; nothing is fetched.
"""

from __future__ import annotations

import csv
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from eco2ai_callbacks.calibration.fit import Point, left_out, two_lines  # noqa: E402 - after the path
from eco2ai_callbacks.calibration.solve import least_deviations, least_squares  # noqa: E402 - after the path
from eco2ai_callbacks.meters.cpu.model import (  # noqa: E402 - after the path
    CURVE_ACTIVE,
    CURVE_BAND,
    CURVE_IDLE,
    CURVE_POWER,
    PAPER_BAND,
)

Power = Callable[[float], float]
Solve = Callable[[Sequence[Sequence[float]], Sequence[float]], tuple[list[float], float] | None]


@dataclass(frozen=True)
class Machine:
    """A machine's sweep: points over busy threads, its threads, and the design power of its processors."""

    name: str
    threads: int
    tdp_w: float
    points: tuple[Point, ...]


def machines(file: Path = HERE / "sweeps.csv") -> list[Machine]:
    """Return the published sweeps."""
    rows: dict[str, list[dict[str, str]]] = {}
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(line for line in lines if not line.startswith("#")):
            rows.setdefault(row["machine"], []).append(row)
    found = []
    for name, own in rows.items():
        threads = int(own[0]["threads"]) * int(own[0]["sockets"])
        points = tuple(Point(float(r["utilisation_percent"]) / 100 * threads, float(r["rapl_w"])) for r in own)
        found.append(Machine(name, threads, float(own[0]["tdp_w"]) * int(own[0]["sockets"]), points))
    return found


def squares(rows: Sequence[Sequence[float]], values: Sequence[float]) -> tuple[list[float], float] | None:
    """Return the coefficients by least squares, and the sum of squared deviations."""
    found = least_squares(rows, values)
    if found is None:
        return None
    rest = [v - math.fsum(c * x for c, x in zip(found, row, strict=True)) for row, v in zip(rows, values, strict=True)]
    return found, math.fsum(x * x for x in rest)


def form(
    terms: Callable[[float, float], Sequence[float]], searched: Sequence[float], solve: Solve, threads: int
) -> Callable[[list[Point]], Power | None]:
    """Return what fits a form: a combination of terms of the load, with one parameter that is searched."""

    def fit(points: list[Point]) -> Power | None:
        best: tuple[float, list[float], float] | None = None
        for parameter in searched:
            found = solve([terms(p.busy / threads, parameter) for p in points], [p.watts for p in points])
            if found is not None and (best is None or found[1] < best[0]):
                best = found[1], found[0], parameter
        if best is None:
            return None
        _, factors, parameter = best
        return lambda busy: max(
            0.0, math.fsum(c * x for c, x in zip(factors, terms(busy / threads, parameter), strict=True))
        )

    return fit


PARTS = [n / 20 for n in range(2, 20)]
POWERS = [n / 20 for n in range(6, 41)]
TERMS: dict[str, tuple[Callable[[float, float], Sequence[float]], Sequence[float]]] = {
    "one line": (lambda u, _: (1.0, u), [0.0]),
    "power of the load": (lambda u, p: (1.0, u**p), POWERS),
    "parabola": (lambda u, _: (1.0, u, u * u), [0.0]),
    "cubic": (lambda u, _: (1.0, u, u * u, u**3), [0.0]),
    "line up to a ceiling": (lambda u, p: (1.0, min(u, p)), PARTS),
    "two lines": (lambda u, p: (1.0, min(u, p), max(0.0, u - p)), PARTS),
}
WAYS: dict[str, Solve] = {"squares": squares, "deviations": least_deviations}


def forms() -> Iterator[str]:
    """Yield the table of forms: each one's error on points that were left out, machine by machine."""
    found = machines()
    yield "Fitted once on the machine: mean error on points left out, as a part of the mean power"
    yield f"  {'form':<22} {'by least':<11}" + "".join(f"{m.name:>18}" for m in found) + f"{'mean':>8}"
    lines = []
    for name, (terms, searched) in TERMS.items():
        for way, solve in WAYS.items():
            errors = [left_out(m.points, form(terms, searched, solve, m.threads))[0] for m in found]
            text = "".join(f"{error:>18.1%}" for error in errors)
            lines.append((statistics.mean(errors), f"  {name:<22} {way:<11}{text}{statistics.mean(errors):>8.1%}"))
    yield from (line for _, line in sorted(lines))


def ratios(tested: Sequence[Machine], power: Callable[[Machine, float], float]) -> list[float]:
    """Return measured over computed power of each point."""
    return [p.watts / max(1e-9, power(m, p.busy / m.threads)) for m in tested for p in m.points]


def holds(found: Sequence[float], low: float, high: float) -> str:
    """Return how many ratios lie in a band."""
    count = sum(low <= ratio <= high for ratio in found)
    return f"{count} of {len(found)} ({count / len(found):.0%})"


def bands() -> Iterator[str]:
    """Yield the table of bands: how many points of the sweeps lie in each method's."""
    found = machines()
    terms, searched = TERMS["power of the load"]
    fitted: list[float] = []
    runs = []
    for machine in found:
        others = [Point(p.busy / m.threads, p.watts / m.tdp_w) for m in found if m is not machine for p in m.points]
        curve = form(terms, searched, squares, 1)(others)
        assert curve is not None
        fitted += ratios([machine], lambda m, u, curve=curve: m.tdp_w * curve(u))
        whole = math.fsum(m_p.watts for m_p in machine.points)
        runs.append(whole / math.fsum(machine.tdp_w * curve(p.busy / machine.threads) for p in machine.points))
    shipped = ratios(found, lambda m, u: m.tdp_w * (CURVE_IDLE + CURVE_ACTIVE * u**CURVE_POWER))
    paper = ratios(found, lambda m, u: m.tdp_w * u)
    calibrated = []
    for machine in found:
        factor = left_out(machine.points, lambda rest, m=machine: two_lines(rest, m.threads))[1]
        for number, point in enumerate(machine.points):
            rest = [p for place, p in enumerate(machine.points) if place != number]
            power = two_lines(rest, machine.threads)
            assert power is not None
            ratio = point.watts / max(1e-9, power(point.busy))
            calibrated.append(max(ratio, 1 / max(ratio, 1e-9)) / factor)
    yield "How many points (one machine at one constant load) lie in each band"
    yield f"  {'method':<46} {'band of a point':<18} held"
    rows = (
        ("cpu-model:bare, form fit to the other machines", CURVE_BAND, fitted),
        ("cpu-model:bare, as shipped", CURVE_BAND, shipped),
        ("cpu-model:bare, the band before", (0.5, 1.5), shipped),
        ("cpu-model:paper", PAPER_BAND, paper),
    )
    for name, (low, high), values in rows:
        yield f"  {name:<46} {f'x{low:g} to x{high:g}':<18} {holds(values, low, high)}"
    yield f"  {'cpu-model:calibrated, points left out':<46} {'its own':<18} {holds(calibrated, 0.0, 1.0)}"
    yield "Whole sweeps as runs, by the form fit to the other machines, measured over computed:"
    yield "  " + ", ".join(f"{m.name} {ratio:.2f}" for m, ratio in zip(found, runs, strict=True))


if __name__ == "__main__":
    for line in (*forms(), "", *bands()):
        print(line)
