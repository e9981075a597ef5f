"""What is compared of one run: its energy, that of an epoch, and its metrics against energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eco2ai_callbacks.comparing.metric import Curve, Step, is_lower_better
from eco2ai_callbacks.report.runs import Run

# No training uses more joules, and no metric is larger; sums and squares of such numbers are no floats.
_MOST = 1e100


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one run. All energy is IT energy, without the data centre's overhead, in joules.

    Args:
        run: The run.
        joules: All that it used; ``None`` where nothing was measured.
        epochs: Number of its epochs that came to their end.
        epoch_j: Mean energy of these, evaluations and repeated attempts included; ``None`` where there is none.
        open_epochs: Number of its epochs that were cut off; they are part of ``joules`` alone.
        samples: Mean number of samples of an epoch; ``None`` where it is not logged.
        stages: The stages that its epochs have.
        curves: The metrics whose direction is known, against energy.
    """

    run: Run
    joules: float | None
    epochs: int
    epoch_j: float | None
    open_epochs: int
    samples: float | None
    stages: frozenset[str]
    curves: Mapping[str, Curve]


def figures_of(run: Run, directions: Mapping[str, bool] | None = None) -> Figures:
    """Return the figures of a run, in one pass over its epochs.

    Args:
        run: The run.
        directions: Whether a lower value is better, for metrics whose names do not tell.
    """
    known: dict[str, bool | None] = dict(directions or {})
    curves: dict[str, Curve] = {}
    stages: set[str] = set()
    closed: set[int] = set()
    energy: dict[int, float] = {}
    used, samples, counted = 0.0, 0.0, 0
    for epoch in run.epochs:
        joules = epoch.sum.usage.total_j or 0.0
        used += joules
        energy[epoch.epoch] = energy.get(epoch.epoch, 0.0) + joules
        if epoch.closed:
            closed.add(epoch.epoch)
            stages |= epoch.stages.keys()
            if epoch.samples:
                samples, counted = samples + epoch.samples, counted + 1
        for name, value in epoch.metrics.items():
            if name not in known:
                known[name] = is_lower_better(name)
            lower = known[name]
            if lower is not None and abs(value) < _MOST:
                curves.setdefault(name, Curve(lower)).add(Step(value, used, epoch.epoch))
    ended = sum(energy[number] for number in closed)
    return Figures(
        run,
        _measured(run.sum.usage.total_j),
        len(closed),
        _measured(ended / len(closed)) if closed else None,
        len(energy) - len(closed),
        samples / counted if counted else None,
        frozenset(stages),
        curves,
    )


def _measured(joules: float | None) -> float | None:
    return joules if joules is not None and 0 < joules < _MOST else None
