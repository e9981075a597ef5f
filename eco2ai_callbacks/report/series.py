"""What the charts of a page show, as rows of numbers: a bounded number of them, however much was logged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from eco2ai_callbacks.phases.times import OTHER
from eco2ai_callbacks.report.epoch_table import Epoch
from eco2ai_callbacks.report.formats import shown
from eco2ai_callbacks.report.runs import Run
from eco2ai_callbacks.report.sums import Sum

# Runs in a chart of lines: more colours cannot be told apart. Bars are legible for some more.
MOST_LINES, MOST_BARS = 8, 24
# Epochs of a run, and intervals of time, in a chart: as many as it has pixels for.
MOST_POINTS, BINS = 300, 160
# Parts of an interval that are too short to have a power: what remains of a float of a time since 1970 is rounding.
_SLIVER = 1e-3
# Metrics that are shown against energy.
MOST_METRICS = 4
# Beginnings and parts of the names under which trainings log how good they are.
_QUALITY = ("loss", "acc", "f1", "auc", "perplexity", "error", "bleu", "rouge", "score", "mse", "mae", "r2", "iou")
MEASURED, ESTIMATED, UNKNOWN = "measured by hardware", "estimated by a model", "of unknown origin"
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"))

Row = dict[str, Any]


def scaled(largest: float, unit: str) -> tuple[float, str]:
    """Return by what to divide, and the unit with the prefix that fits: ``1000.0, "kWh"``."""
    smallest = _PREFIXES[-1] if largest > 0 else (1.0, "")
    factor, prefix = next((each for each in _PREFIXES if largest >= each[0]), smallest)
    return factor, f"{prefix}{unit}"


def largest(runs: Iterable[Run], most: int) -> list[Run]:
    """Return the runs that used most, in the order of the selection."""
    found = sorted(runs, key=lambda run: -(run.sum.usage.total_j or 0.0))[:most]
    return sorted(found, key=lambda run: run.place)


def labels(runs: Iterable[Run]) -> dict[str, str]:
    """Return a short name of each run: its description or project, and the begin of its id where that is no name."""
    found = {run.id: shown(run.description or run.project or "run", 28) for run in runs}
    names = list(found.values())
    return {
        run: name if name != "run" and names.count(name) == 1 else f"{name} {shown(run, 8)}"
        for run, name in found.items()
    }


def sampled(epochs: Sequence[Epoch], most: int = MOST_POINTS) -> tuple[list[Epoch], int]:
    """Return epochs at equal distances, the last one included, and the distance."""
    step = max(1, -(-len(epochs) // most))
    places = [*range(0, len(epochs), step)]
    if places and places[-1] != len(epochs) - 1:
        places.append(len(epochs) - 1)
    return [epochs[place] for place in places], step


def epoch_rows(run: Run, label: str) -> list[Row]:
    """Return the energy and CO2e of a run's epochs with their bands, in Wh and g."""
    rows = []
    for epoch in sampled(run.epochs)[0]:
        energy, co2 = epoch.energy_kwh, epoch.co2_kg
        if energy is None:
            continue
        low, high = epoch.sum.energy_band_kwh or (energy, energy)
        row: Row = {"run": label, "epoch": epoch.epoch, "attempt": epoch.attempt}
        row |= {"energy": energy * 1000, "energy_low": low * 1000, "energy_high": high * 1000}
        if co2 is not None:
            low, high = epoch.sum.co2_band_kg or (co2, co2)
            row |= {"co2": co2 * 1000, "co2_low": low * 1000, "co2_high": high * 1000}
        rows.append(row)
    return rows


def total_row(label: str, found: Sum) -> Row | None:
    """Return energy and CO2e of a sum with their bands, in Wh and g."""
    energy, co2 = found.energy_kwh, found.co2_kg
    if energy is None:
        return None
    low, high = found.energy_band_kwh or (energy, energy)
    row: Row = {"run": label, "energy": energy * 1000, "energy_low": low * 1000, "energy_high": high * 1000}
    if co2 is not None:
        low, high = found.co2_band_kg or (co2, co2)
        row |= {"co2": co2 * 1000, "co2_low": low * 1000, "co2_high": high * 1000}
    return row


def power_rows(runs: Sequence[Run], names: Mapping[str, str]) -> list[Row]:
    """Return the mean power in equal intervals of time: of one run by component, of several by run."""
    ranged = [(run, interval) for run in runs for portion in run.portions for interval in portion.power]
    if not ranged:
        return []
    begins = min(interval.begins for _, interval in ranged)
    ends = max(interval.ends for _, interval in ranged)
    width = (ends - begins) / BINS
    if width <= 0:
        return []
    joules: dict[tuple[str, int], float] = {}
    # When each series began and ended: outside of that it has no power, not a low one.
    spans: dict[str, tuple[float, float]] = {}
    for run, interval in ranged:
        if len(runs) > 1:
            known = spans.get(names[run.id], (interval.begins, interval.ends))
            spans[names[run.id]] = min(known[0], interval.begins), max(known[1], interval.ends)
        length = interval.ends - interval.begins
        first = int((interval.begins - begins) / width)
        last = min(BINS - 1, int((interval.ends - begins) / width))
        for place in range(first, last + 1):
            left, right = begins + place * width, begins + (place + 1) * width
            share = (min(right, interval.ends) - max(left, interval.begins)) / length if length > 0 else 0.0
            for component, value in interval.joules.items():
                series = component if len(runs) == 1 else names[run.id]
                joules[series, place] = joules.get((series, place), 0.0) + value * max(0.0, share)
    base: dict[int, float] = {}
    rows = []
    for (series, place), value in sorted(joules.items()):
        since, until = spans.get(series, (begins, ends))
        left, right = max(since, begins + place * width), min(until, begins + (place + 1) * width)
        if right - left < width * _SLIVER:
            continue
        power, under = value / (right - left), base.get(place, 0.0) if len(runs) == 1 else 0.0
        base[place] = under + power
        if power > 0:
            rows.append({"series": series, "place": place, "power": power, "low": under, "high": under + power})
            rows[-1] |= {"begins": _label(left), "ends": _label(right)}
    return rows


def _label(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def part_rows(label: str, parts: Mapping[str, float]) -> list[Row]:
    """Return the joules of parts of a run, in Wh."""
    total = sum(parts.values())
    return [
        {"run": label, "part": shown(name, 28), "energy": joules / 3600, "share": joules / total if total else 0.0}
        for name, joules in parts.items()
        if joules > 0
    ]


def stages_of(run: Run) -> dict[str, float]:
    """Return the joules of a run's stages."""
    found: dict[str, float] = {}
    for portion in run.portions:
        for name, part in portion.stages.items():
            found[name] = found.get(name, 0.0) + (part.usage.total_j or 0.0)
    return found


def phases_of(run: Run) -> dict[str, float]:
    """Return the joules of a run's phases; empty where none was named."""
    found: dict[str, float] = {}
    for portion in run.portions:
        for name, part in portion.phases.items():
            found[name] = found.get(name, 0.0) + (part.usage.total_j or 0.0)
    return {} if found.keys() <= {OTHER, "carried"} else found


def certainty_of(run: Run) -> dict[str, float]:
    """Return the joules that hardware measured and those that a model estimated."""
    found = {MEASURED: 0.0, ESTIMATED: 0.0}
    for method, joules in run.sum.methods.items():
        found[MEASURED if method in run.hardware else ESTIMATED] += joules
    rest = (run.sum.usage.total_j or 0.0) - sum(found.values())
    if rest > 1e-9 * (run.sum.usage.total_j or 0.0):
        found[UNKNOWN] = rest
    return found


def quality_metrics(runs: Iterable[Run]) -> list[str]:
    """Return the metrics that show how good a training is, those of most epochs first."""
    seen: dict[str, int] = {}
    for run in runs:
        for epoch in sampled(run.epochs)[0]:
            for name in epoch.metrics:
                seen[name] = seen.get(name, 0) + 1
    named = [name for name in seen if any(part in name.lower() for part in _QUALITY)]
    return sorted(named, key=lambda name: -seen[name])[:MOST_METRICS]


def metric_rows(run: Run, label: str, name: str) -> list[Row]:
    """Return a metric against the energy that the run had used by then, in Wh."""
    used, rows = 0.0, []
    every = max(1, len(run.epochs) // MOST_POINTS)
    for place, epoch in enumerate(run.epochs):
        used += (epoch.energy_kwh or 0.0) * 1000
        value = epoch.metrics.get(name)
        if value is not None and (place % every == 0 or place == len(run.epochs) - 1):
            rows.append({"run": label, "epoch": epoch.epoch, "energy": used, "value": value})
    return rows


def forecast_rows(run: Run, label: str) -> list[Row]:
    """Return the forecasts of a run's whole energy, in Wh, beside what it used."""
    used = run.energy_kwh
    rows = []
    for place, each in enumerate(run.forecasts):
        if each.energy_kwh is not None and used is not None:
            low, high = each.energy_band_kwh or (each.energy_kwh, each.energy_kwh)
            done = each.done / each.planned if each.done is not None and each.planned else None
            rows.append(
                {
                    **{"run": label, "done": done if done is not None else place, "used": used * 1000},
                    **{"energy": each.energy_kwh * 1000, "low": low * 1000, "high": high * 1000},
                }
            )
    return rows


def rank_rows(run: Run, label: str) -> list[Row]:
    """Return the energy of a run's ranks, in Wh."""
    found: dict[tuple[int, str], float] = {}
    for portion in run.portions:
        key = portion.rank, portion.host
        found[key] = found.get(key, 0.0) + (portion.sum.usage.total_j or 0.0)
    return [
        {"run": label, "rank": rank, "host": shown(host, 12) or "unknown", "energy": joules / 3600}
        for (rank, host), joules in found.items()
    ]
