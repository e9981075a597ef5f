"""One trip at an epoch's end: an exchange, then scalars, forecast and budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from fake_torch import Store, Torch

from eco2ai_callbacks.distributed.job import JobTotals
from eco2ai_callbacks.distributed.messages import RankStart, RankUsage, SharedStore
from eco2ai_callbacks.distributed.process_group import torch_store
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.metrics.epoch_report import EpochReport, MarkedEpoch
from eco2ai_callbacks.metrics.figures import JobFigures
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.testing import Clock
from eco2ai_callbacks.usage import Usage

KWH = 3.6e6


class Rank:
    """The figures of a rank beside another that has used the same, and all that they do, in its order."""

    def __init__(self, settings: Settings | None = None, *, others: int = 1, speaks: bool = True) -> None:
        self.guard, self.order, self.total, self.speaks = Guard(), list[str](), Usage(), speaks
        job = JobTotals(self.guard)
        if others:
            job.join(self.gather, (0, 2))
        self.others = others
        self.notes: list[Mapping[str, Any]] = []
        self.figures = JobFigures(settings or Settings(), self.guard, job, lambda: self.total)
        self.figures.outlook.begin(continued=False)

    def gather(self, message: Any) -> list[Any]:
        self.order.append("exchange")
        return [message] * (1 + self.others)

    def note(self, forecast: Mapping[str, Any]) -> None:
        self.order.append("forecast")
        self.notes.append(forecast)

    def epoch(self, number: int | None, used: Usage, validation: Usage | None = None, **options: Any) -> EpochReport:
        self.total += used
        message = RankUsage(used, validation, self.total, options.pop("samples", None), options.pop("tokens", None))
        marked = MarkedEpoch(used, number, message, {}, self.speaks)
        options = {"done": None, "planned": None, "note": self.note, **options}
        return self.figures.end_epoch(marked, **options)


def test_a_trip_is_one_exchange_and_its_figures_are_the_job_s() -> None:
    rank = Rank(Settings(scalars="all"))
    report = rank.epoch(0, Usage(10.0, {"cpu": KWH}, 50.0), Usage(1.0, {"cpu": KWH / 4}, 5.0), samples=100)
    assert rank.order == ["exchange"]
    assert report.train == {
        "eco2ai/energy_kwh": 2.0,
        "eco2ai/co2_kg": 0.1,
        "eco2ai/cpu_kwh": 2.0,
        "eco2ai/power_w": 2 * KWH / 10.0,
        "eco2ai/j_per_sample": KWH / 100,
    }
    assert report.validation == {"eco2ai/val_energy_kwh": 0.5, "eco2ai/val_co2_kg": 0.01}
    assert report.total == {"eco2ai/total_energy_kwh": 2.0, "eco2ai/total_co2_kg": 0.1}
    assert report.scalars == report.train | report.validation | report.total
    assert report.usage.total_j == KWH  # this process's own


def test_forecast_and_budget_come_after_the_exchange_and_decide_by_its_sum(caplog: pytest.LogCaptureFixture) -> None:
    rank = Rank(Settings(forecast_after=1, max_energy_kwh=3.0))
    first = rank.epoch(0, Usage(10.0, {"cpu": KWH}, 50.0), planned=4)
    second = rank.epoch(1, Usage(10.0, {"cpu": KWH}, 50.0), planned=4)
    assert rank.order == ["exchange", "forecast", "exchange", "forecast"]
    assert first.forecast["eco2ai/forecast_energy_kwh"] == pytest.approx(8.0)
    assert (first.stop, second.stop) == (None, "the budget of 3 kWh is used up: 4 kWh after epoch 1")
    assert caplog.messages == [f"{second.stop}; the run is to stop"]
    assert rank.notes[0]["planned"] == 4


def test_a_rank_that_does_not_speak_comes_to_the_same_and_writes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    rank = Rank(Settings(forecast_after=1, max_energy_kwh=1.0), speaks=False)
    report = rank.epoch(0, Usage(10.0, {"cpu": KWH}, 50.0), planned=4)
    assert report.forecast
    assert report.stop
    assert rank.notes == []
    assert caplog.messages == []


def test_after_the_end_ranks_meet_and_nothing_is_decided() -> None:
    rank = Rank(Settings(forecast_after=1, max_energy_kwh=1.0))
    report = rank.epoch(0, Usage(10.0, {"cpu": KWH}, 50.0), planned=4, decides=False)
    assert rank.order == ["exchange"]
    assert (report.forecast, report.stop) == ({}, None)
    assert report.total["eco2ai/total_energy_kwh"] == 2.0


def test_progress_is_in_epochs_unless_the_loop_counts_otherwise() -> None:
    steps, epochs = Rank(Settings(forecast_after=1), others=0), Rank(Settings(forecast_after=1), others=0)
    used = Usage(10.0, {"cpu": KWH}, 50.0)
    assert steps.epoch(0, used, done=250, planned=1000).forecast == epochs.epoch(0, used, planned=4).forecast
    unknown = Rank(Settings(forecast_after=1), others=0)
    assert unknown.epoch(None, used, planned=4).forecast == {}


def test_nonsense_costs_a_figure_and_not_the_training() -> None:
    rank = Rank(Settings(scalars="all", forecast_after=1), others=0)
    report = rank.epoch(0, Usage(10.0, {"cpu": KWH}, 50.0), samples="many", done="far", planned=9)
    assert report == EpochReport(Usage(10.0, {"cpu": KWH}, 50.0))
    assert len(rank.guard.failures) == 2


def test_where_training_begins_is_where_the_forecast_counts_from() -> None:
    rank = Rank(Settings(forecast_after=1), others=0)
    rank.figures.outlook.begin(continued=True)
    rank.figures.training_begins(6)
    found = rank.epoch(6, Usage(10.0, {"cpu": KWH}, 50.0), planned=10).forecast
    assert found["eco2ai/forecast_energy_kwh"] == pytest.approx(4.0)


def test_an_evaluation_and_the_totals_are_one_exchange_each() -> None:
    rank = Rank()
    rank.total = Usage(9.0, {"cpu": KWH}, 30.0)
    assert rank.figures.stage(Usage(1.0, {"cpu": KWH / 2}, 20.0), "test") == {
        "eco2ai/test_energy_kwh": 1.0,
        "eco2ai/test_co2_kg": 0.04,
    }
    assert rank.figures.totals() == {"eco2ai/total_energy_kwh": 2.0, "eco2ai/total_co2_kg": 0.06}
    assert rank.order == ["exchange", "exchange"]
    assert rank.figures.total == Usage(9.0, {"cpu": 2 * KWH}, 60.0)


class TestLook:
    """Within an epoch."""

    def figures(
        self, settings: Settings, *, ranks: int = 1, rank: int = 0, store: SharedStore | None = None
    ) -> tuple[JobFigures, Clock, list[float], Guard]:
        clock, reads, guard = Clock(), list[float](), Guard()
        job = JobTotals(guard)
        if ranks > 1:
            job.join(lambda message: [message] * ranks, (rank, ranks), store=store)
            job.exchange_starts(RankStart(token="fit"))

        class Steady:
            """1 kWh a second."""

            def clock(self) -> float:
                return clock()

            def so_far(self) -> tuple[Usage, tuple[float, float], tuple[float, float]]:
                reads.append(clock())
                return Usage(clock() - start, {"cpu": KWH * (clock() - start)}, 1.0), (0.9, 1.1), (0.5, 2.0)

        start = clock()
        figures = JobFigures(settings, guard, job, Usage, Steady())
        figures.outlook.begin(continued=False)
        figures.training_begins(0)
        return figures, clock, reads, guard

    def steps(self, figures: JobFigures, clock: Clock, count: int, planned: float | None = 1000) -> list[str | None]:
        self.notes: list[Mapping[str, Any]] = []
        found = []
        for step in range(1, count + 1):
            clock.advance(1.0)
            found.append(figures.look(lambda step=step: step, lambda: planned, self.notes.append))  # type: ignore[misc]
        return found

    def test_a_budget_that_is_used_up_in_mid_epoch_is_named_at_the_next_look(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        figures, clock, reads, _ = self.figures(Settings(max_energy_kwh=12.0))
        found = self.steps(figures, clock, 16)
        assert [step for step, each in enumerate(found, 1) if each] == [15]
        assert found[14] == "the budget of 12 kWh is used up: 15 kWh"
        assert figures.outlook.ended == "budget: the budget of 12 kWh is used up: 15 kWh"
        assert len(reads) == 3, "meters are read too often"
        assert [record.getMessage() for record in caplog.records] == [f"{found[14]}; the run is to stop"]

    def test_the_forecast_by_steps_holds_the_bands_of_the_measurement(self) -> None:
        figures, clock, _, _ = self.figures(Settings())
        self.steps(figures, clock, 40)
        assert [note["done"] for note in self.notes] == [15, 30]
        assert self.notes[0]["energy_kwh"] == pytest.approx(1000.0)
        assert self.notes[0]["energy_band_kwh"][0] < 900.0
        assert self.notes[0]["epochs"] == 0

    def test_without_a_run_there_is_nothing_to_look_at(self) -> None:
        figures = JobFigures(
            Settings(max_energy_kwh=1e-9), Guard(), JobTotals(Guard()), lambda: Usage(1.0, {"cpu": 9.0})
        )
        assert figures.look(lambda: 1.0, lambda: 2.0, lambda note: None) is None

    def test_ranks_that_share_a_store_decide_alike_within_an_epoch(self, caplog: pytest.LogCaptureFixture) -> None:
        store = torch_store({"torch": Torch(2, store=Store())})
        ranks = [self.figures(Settings(max_energy_kwh=21.0), ranks=2, rank=rank, store=store) for rank in (0, 1)]
        found: list[list[str | None]] = [[], []]
        notes: list[list[Mapping[str, Any]]] = [[], []]
        for step in range(1, 17):
            for rank, (figures, clock, _, _) in enumerate(ranks):
                clock.advance(1.0)
                found[rank].append(figures.look(lambda step=step: step, lambda: 1000, notes[rank].append))  # type: ignore[misc]
        # Two kWh a second, looked at when the steps 2, 4, 10 and 16 have ended, as used up to the step before.
        said = "the budget of 21 kWh is used up: 30 kWh"
        assert found == [[None] * 15 + [said]] * 2
        assert [figures.outlook.ended for figures, *_ in ranks] == [f"budget: {said}"] * 2
        assert [record.getMessage() for record in caplog.records] == [f"{said}; the run is to stop"], "one rank says it"
        assert [note["done"] for note in notes[0]] == [10]
        assert notes[0][0]["energy_kwh"] == pytest.approx(2000.0, rel=0.2)
        assert not notes[1]

    def test_ranks_with_neither_a_budget_nor_a_forecast_tell_nothing(self) -> None:
        store = Store()
        shared = torch_store({"torch": Torch(2, store=store)})
        figures, clock, reads, _ = self.figures(Settings(forecast_after=0), ranks=2, store=shared)
        assert self.steps(figures, clock, 20) == [None] * 20
        assert not store.held
        assert not reads

    def test_ranks_that_share_no_store_decide_at_their_epochs_ends_alone(self) -> None:
        figures, clock, reads, _ = self.figures(Settings(max_energy_kwh=1.0), ranks=2)
        assert self.steps(figures, clock, 20) == [None] * 20
        assert not reads
