"""Running sums of one rank on one host, by stage, by phase and by day."""

from __future__ import annotations

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.fields import text
from eco2ai_callbacks.report.of_record import OTHER, Deriver, Figures
from eco2ai_callbacks.report.phase_sums import PhaseSums
from eco2ai_callbacks.report.runs import Portion
from eco2ai_callbacks.report.sums import Adder
from eco2ai_callbacks.report.timeline import Timeline

# Stages, and days, of a portion that are kept apart. A run of ten years has 3,653 days.
_MOST_STAGES, _MOST_DAYS = 64, 4000
# Length of a day in a label: `2026-01-01`.
_DAY = 10


class PortionAdder:
    """The running sums of one rank on one host inside one other run, or inside none."""

    __slots__ = ("_deriver", "days", "phases", "power", "stages", "sum")

    def __init__(self) -> None:
        self._deriver = Deriver()
        self.sum: Adder = Adder()
        self.stages: dict[str, Adder] = {}
        self.phases: PhaseSums = PhaseSums()
        self.days: dict[str, Adder] = {}
        self.power: Timeline = Timeline()

    def add(self, record: Record) -> Figures:
        """Add a record that counts; return what it adds to a sum, for the sums that others hold."""
        figures = self._deriver.figures(record)
        self.sum.add(figures)
        if record.event == "start" and not record.carried:
            return figures
        stage = "carried" if record.event == "start" else record.stage
        _of(self.stages, stage, _MOST_STAGES).add(figures)
        self.phases.add(figures)
        _of(self.days, record.start[:_DAY], _MOST_DAYS).add(figures)
        self.power.add(figures)
        return figures

    def plus(self, other: PortionAdder) -> None:
        """Add what another log holds of it."""
        self.sum.plus(other.sum)
        for name, adder in other.stages.items():
            _of(self.stages, name, _MOST_STAGES).plus(adder)
        self.phases.plus(other.phases)
        for name, adder in other.days.items():
            _of(self.days, name, _MOST_DAYS).plus(adder)
        self.power.plus(other.power)

    def portion(self, rank: int, host: str, parent: str | None) -> Portion:
        """Return it as a plain object."""
        stages = {name: each.sum for name, each in self.stages.items()}
        days = {name: each.sum for name, each in self.days.items()}
        whole = self.sum.sum
        phases = self.phases.sums(whole)
        return Portion(rank, host, parent, whole, stages, days, self.power.intervals, phases)


def _of(adders: dict[str, Adder], name: str, most: int) -> Adder:
    found = adders.get(name)
    if found is None:
        key = text(name) if len(adders) < most else OTHER
        found = adders.get(key)
        if found is None:
            found = adders[key] = Adder()
    return found
