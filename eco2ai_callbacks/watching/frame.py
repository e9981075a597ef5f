"""What is shown of a run while it is trained: rows of words and figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eco2ai_callbacks.report.formats import banded, shown
from eco2ai_callbacks.runlog.aggregate import of_ranks
from eco2ai_callbacks.sinks.console import amount, duration
from eco2ai_callbacks.usage import GRAMS_PER_KG
from eco2ai_callbacks.watching.neighbours import Neighbours
from eco2ai_callbacks.watching.state import RunState

# Seconds without a record after which it is said: twice the time between two heartbeats, by default.
QUIET_S = 120.0
# Characters that are kept of a name.
_WIDEST = 60
_MOST_SHARING = 5
RUNNING, ENDED, QUIET, WAITING = "running", "ended", "quiet", "waiting"


@dataclass(frozen=True, slots=True)
class Budget:
    """What the run may use.

    Args:
        energy_kwh: Energy; ``None`` for no limit.
        co2_kg: CO2e; ``None`` for no limit.
        origin: Where the limits come from, in words.
    """

    energy_kwh: float | None = None
    co2_kg: float | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A name and its value; ``share`` where a bar shows a part of a whole."""

    name: str
    value: str
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What is shown at one moment.

    Args:
        title: What is shown.
        state: ``running``, ``ended``, ``quiet`` or ``waiting``.
        rows: The rows.
    """

    title: str
    state: str
    rows: tuple[Row, ...] = ()

    @property
    def text(self) -> str:
        """The frame as plain lines."""
        width = max((len(row.name) for row in self.rows), default=0)
        return "\n".join([self.title, *(f"  {row.name.ljust(width)}  {row.value}" for row in self.rows)]) + "\n"


def frame_of(
    run: RunState | None, log: str, now: float, budget: Budget | None = None, neighbours: Neighbours | None = None
) -> Frame:
    """Return what to show of a run.

    Args:
        run: The run; ``None`` where there is none yet.
        log: The log's name.
        now: Seconds since 1970.
        budget: What it may use.
        neighbours: What the registry shows of it.
    """
    if run is None:
        return Frame(f"waiting for a run in {shown(log, 2 * _WIDEST)}", WAITING)
    near = neighbours or Neighbours()
    state, said = _state(run, now, near)
    names = [shown(name, _WIDEST) for name in (run.project, run.description) if name]
    title = " · ".join([f"run {shown(run.id, _WIDEST)}", *names])
    rows = [Row("state", said), *_figures(run), *_progress(run), *_left(run, budget or Budget()), *_around(run, near)]
    return Frame(title, state, tuple(rows))


def _state(run: RunState, now: float, near: Neighbours) -> tuple[str, str]:
    if run.ended is not None:
        return ENDED, f"ended: {shown(run.ended, _WIDEST)}"
    age = None if run.until is None else max(0.0, now - run.until)
    last = "" if age is None else f", last record {duration(age, minutes_from=60.0)} ago"
    if near.pids:
        pids = ", ".join(map(str, near.pids[:_MOST_SHARING]))
        return RUNNING, f"running (process {pids}){last}"
    if near.here:
        return QUIET, f"no process of it is found on this host: it was killed, or is another user's{last}"
    if age is not None and age > QUIET_S:
        return QUIET, f"no record for {duration(age, minutes_from=60.0)}: it was killed, or writes no heartbeat"
    return RUNNING, f"running{last}"


def _figures(run: RunState) -> Iterator[Row]:
    usage = run.usage
    if run.ended is None:
        power = run.power_w
        yield Row("power", "-" if power is None else amount(power, "W"))
    elif usage.power_w is not None:
        yield Row("mean power", amount(usage.power_w, "W"))
    energy = banded(usage.energy_kwh, run.energy_band_kwh, "Wh", 1000.0)
    yield Row("energy", "nothing measured so far" if usage.energy_kwh is None else energy)
    if usage.co2_kg is not None:
        yield Row("CO2e", amount(usage.co2_kg * GRAMS_PER_KG, "g"))
    if usage.cost is not None:
        yield Row("cost", f"{usage.cost:.3g}")
    yield Row("time", duration(usage.seconds, minutes_from=60.0))
    ranks = of_ranks(len(run.ranks), run.world_size)
    if ranks:
        yield Row("ranks", ranks)


def _progress(run: RunState) -> Iterator[Row]:
    if run.epoch is not None:
        stage = f", {shown(run.stage, 20)}" if run.stage and run.ended is None else ""
        yield Row("epoch", f"{run.epoch}{stage}")
    if run.metrics:
        yield Row("metrics", ", ".join(f"{shown(name, 24)} {value:.4g}" for name, value in run.metrics.items()))
    found = run.forecast
    if found is not None and found.energy_kwh is not None and run.ended is None:
        share = min(1.0, found.done / found.planned) if found.done is not None and found.planned else None
        parts = [banded(found.energy_kwh, found.energy_band_kwh, "Wh", 1000.0)]
        if found.co2_kg is not None:
            parts.append(f"{amount(found.co2_kg * GRAMS_PER_KG, 'g')} CO2e")
        if found.seconds is not None:
            left = max(0.0, found.seconds - run.usage.seconds)
            parts.append(f"{duration(found.seconds, minutes_from=60.0)}, {duration(left, minutes_from=60.0)} left")
        done = f" ({share:.0%} done when it was made)" if share is not None else ""
        yield Row("forecast", f"{', '.join(parts)}{done}", share)


def _left(run: RunState, budget: Budget) -> Iterator[Row]:
    usage = run.usage
    limits = ((budget.energy_kwh, usage.energy_kwh, "Wh", 1000.0), (budget.co2_kg, usage.co2_kg, "g", GRAMS_PER_KG))
    for limit, used, unit, factor in limits:
        if limit is None:
            continue
        name = "budget" if unit == "Wh" else "CO2e budget"
        whole = f"{amount(limit * factor, unit)}{f' ({budget.origin})' if budget.origin else ''}"
        if used is None:
            yield Row(name, f"{whole}: nothing is measured")
        elif used >= limit:
            yield Row(name, f"used up: {amount(used * factor, unit)} of {whole}", 1.0)
        else:
            yield Row(name, f"{amount((limit - used) * factor, unit)} left of {whole}", used / limit)


def _around(run: RunState, near: Neighbours) -> Iterator[Row]:
    if run.parent is not None:
        yield Row("inside", f"run {shown(run.parent, _WIDEST)}")
    now = [f"run {shown(name, 20)} (process {pid})" for name, pid in near.sharing[:_MOST_SHARING]]
    names = {name for name, _ in near.sharing}
    logged = [f"run {shown(name, 20)} (by the log)" for name in run.shared_with if name not in names][:_MOST_SHARING]
    if now or logged:
        more = len(near.sharing) - len(now)
        yield Row("shares the device with", ", ".join([*now, *logged]) + (f" and {more} more" if more > 0 else ""))
    if run.methods:
        yield Row("measured by", shown(", ".join(run.methods), 2 * _WIDEST))
    if run.failures:
        others = f"; and {len(run.failures) - 1} more" if len(run.failures) > 1 else ""
        yield Row("failed", shown(run.failures[-1], 2 * _WIDEST) + others)
