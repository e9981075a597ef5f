"""Metrics of trainings: which way is better, and what a run had used when it was so good."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

# Parts of the names under which trainings log how good they are, and which way is better.
_LOWER = frozenset(
    {"loss", "losses", "error", "err", "perplexity", "ppl", "mse", "rmse", "mae", "mape", "wer", "cer", "nll", "bpb"}
    | {"bpc", "fid", "ce", "crossentropy", "entropy", "elbo"}
)
_HIGHER = frozenset(
    {"acc", "accuracy", "f1", "auc", "auroc", "bleu", "rouge", "score", "r2", "iou", "dice", "precision", "recall"}
    | {"map", "kappa", "mcc", "reward", "psnr", "ssim", "ndcg", "mrr", "top1", "top5", "correlation"}
)
_HELD_OUT = frozenset({"val", "valid", "validation", "eval", "dev", "test"})


@dataclass(frozen=True, slots=True)
class Step:
    """A value of a metric that is better than all before it.

    Args:
        value: The value.
        joules: What the run's epochs had used by then, this one included.
        epoch: Number of the epoch.
    """

    value: float
    joules: float
    epoch: int


@dataclass(slots=True)
class Curve:
    """The best value of a metric so far, against the energy that was used by then.

    Args:
        lower: Whether a lower value is better.
        steps: The values that were better than all before them.
    """

    lower: bool
    steps: list[Step] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """Add the value of the next epoch."""
        if not self.steps or self._key(step.value) < self._key(self.steps[-1].value):
            self.steps.append(step)

    @property
    def best(self) -> float:
        """The best value."""
        return self.steps[-1].value

    def reach(self, value: float) -> Step | None:
        """Return the first step that is as good as a value; ``None`` where none is."""
        place = bisect_left(self.steps, -self._key(value), key=lambda step: -self._key(step.value))
        return self.steps[place] if place < len(self.steps) else None

    def _key(self, value: float) -> float:
        return value if self.lower else -value


def words_of(name: str) -> list[str]:
    """Return the words of a metric's name: ``valAcc_top1`` has ``val``, ``acc`` and ``top1``."""
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())


def is_lower_better(name: str) -> bool | None:
    """Return whether a lower value of a metric is better, by its name; ``None`` where the name does not tell."""
    words = words_of(name)
    if not _LOWER.isdisjoint(words):
        return True
    if not _HIGHER.isdisjoint(words):
        return False
    # Names without any mark between their words, such as `trainloss`.
    joined = "".join(words)
    if joined.endswith(("loss", "error", "perplexity")):
        return True
    return False if joined.endswith(("acc", "accuracy")) else None


def chosen(names: Iterable[str]) -> str | None:
    """Return the metric that shows best how good a training is: a held-out one first, and a loss first.

    Args:
        names: Metrics whose direction is known.
    """

    def rank(name: str) -> tuple[bool, bool, int, str]:
        words = words_of(name)
        return _HELD_OUT.isdisjoint(words), "loss" not in words, len(words), name

    return min(names, key=rank, default=None)


def common_value(curves: Sequence[Curve]) -> float | None:
    """Return the best value that all of these runs have reached; ``None`` where one has none."""
    if not curves or not all(curve.steps for curve in curves):
        return None
    bests = [curve.best for curve in curves]
    return max(bests) if curves[0].lower else min(bests)
