"""The budgets: the sentence, and the run that ends by it."""

from __future__ import annotations

import logging

import pytest
from logcheck import rows
from steady import steady

from eco2ai_callbacks.metrics.budget import blind, over
from eco2ai_callbacks.session.context import RunContext
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.testing import Clock
from eco2ai_callbacks.usage import Usage

USED = Usage(9.0, {"cpu": 0.5 * 3.6e6, "gpu:a": 0.012 * 3.6e6}, 205.0)
SENTENCE = "the budget of 0.001 kWh is used up: 0.00111 kWh after epoch 1"


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({}, None),
        ({"max_energy_kwh": 0.513}, None),
        ({"max_energy_kwh": 0.512}, "the budget of 0.512 kWh is used up: 0.512 kWh after epoch 3"),
        ({"max_energy_kwh": 0.5}, "the budget of 0.5 kWh is used up: 0.512 kWh after epoch 3"),
        ({"max_co2_kg": 0.3}, None),
        ({"max_co2_kg": 0.2}, "the budget of 0.2 kg CO2e is used up: 0.205 kg after epoch 3"),
        ({"max_energy_kwh": 0.6, "max_co2_kg": 0.2}, "the budget of 0.2 kg CO2e is used up: 0.205 kg after epoch 3"),
        ({"max_energy_kwh": 0.5, "max_co2_kg": 0.2}, "the budget of 0.5 kWh is used up: 0.512 kWh after epoch 3"),
    ],
)
def test_one_sentence_says_which_budget_is_used_up(limits: dict[str, float], sentence: str | None) -> None:
    assert over(USED, Settings(**limits), 3) == sentence


def test_outside_of_epochs_none_is_named() -> None:
    assert over(USED, Settings(max_energy_kwh=0.5)) == "the budget of 0.5 kWh is used up: 0.512 kWh"


def test_what_is_not_measured_stops_nothing_and_says_so() -> None:
    settings = Settings(max_energy_kwh=0.5)
    assert over(Usage(9.0), settings, 3) is None
    assert blind(Usage(9.0), settings) == "budget: nothing is measured, so the 0.5 kWh stop nothing"
    assert blind(USED, settings) is None
    assert blind(Usage(9.0), Settings()) is None


def test_a_run_that_ends_by_its_budget_says_so_in_log_and_console(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    with steady(clock, console=True, max_energy_kwh=0.001) as run:  # 36 s at 100 W
        told = []
        for epoch in range(10):
            clock.advance(20)
            told.append(run.end_epoch(epoch).stop)
            if told[-1]:
                break
    assert told == [None, SENTENCE]
    assert rows()[-1]["ended"] == f"budget: {SENTENCE}"
    assert capsys.readouterr().err.rstrip().endswith(f"| budget: {SENTENCE}")
    assert caplog.messages == [f"{SENTENCE}; the run is to stop"]


@pytest.mark.parametrize(
    "plan",
    [{"planned": 2}, {"planned": 20, "done": 20}, {"planned": 1.0, "done": 1.0}],
    ids=["epochs", "steps", "part"],
)
def test_a_training_that_its_last_epoch_takes_over_the_budget_has_finished(
    plan: dict[str, float], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    with steady(clock, console=True, max_energy_kwh=0.001) as run:
        clock.advance(20)
        assert run.end_epoch(0, planned=9).stop is None
        clock.advance(20)
        assert run.end_epoch(1, **plan).stop is None
    assert rows()[-1]["ended"] == "finished"
    assert "budget" not in capsys.readouterr().err
    assert caplog.messages == [f"{SENTENCE}; the training was complete"]


def test_a_training_that_goes_on_beyond_its_plan_is_stopped_after_all(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with steady(clock, max_energy_kwh=0.001) as run:
        told = []
        for epoch in range(4):
            clock.advance(20)
            told.append(run.end_epoch(epoch, planned=2).stop is not None)
    assert told == [False, False, True, True]
    assert rows()[-1]["ended"].startswith("budget: ")
    assert len(caplog.messages) == 2


def test_the_first_crossing_is_what_is_said(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with steady(clock, max_energy_kwh=0.001) as run:
        for epoch in range(4):  # as where the framework insists on some epochs
            clock.advance(20)
            run.end_epoch(epoch)
    assert rows()[-1]["ended"] == f"budget: {SENTENCE}"
    assert len(caplog.messages) == 1


def test_a_run_that_fails_was_interrupted_whatever_its_budget() -> None:
    clock = Clock()
    run = steady(clock, max_energy_kwh=0.001).start()
    clock.advance(100)
    assert run.end_epoch().stop
    run.stop("interrupted")
    assert rows()[-1]["ended"] == "interrupted"


def test_the_whole_jobs_total_is_what_counts(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    run = steady(clock, max_co2_kg=0.001).start(RunContext(rank=(1, 2), gather=lambda told: [told, told]))
    clock.advance(60)
    # 0.6 g are this rank's own.
    assert run.end_epoch(0).stop == "the budget of 0.001 kg CO2e is used up: 0.0012 kg after epoch 0"
    run.stop()
    assert caplog.messages == []  # the first rank speaks for all


def test_what_earlier_sessions_used_is_used() -> None:
    clock = Clock()
    with steady(clock) as first:
        clock.advance(100)
    run = steady(clock, run_id=first.run_id, max_energy_kwh=0.001).start()
    assert run.end_epoch(1).stop == "the budget of 0.001 kWh is used up: 0.00278 kWh after epoch 1"
    run.stop()


def test_a_budget_that_cannot_be_kept_is_named_in_the_records(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with caplog.at_level(logging.ERROR), steady(clock, measured=False, max_co2_kg=1.0) as run:
        clock.advance(10)
        assert run.end_epoch().stop is None
    assert rows()[-1]["failures"] == ["budget: nothing is measured, so the 1 kg CO2e stop nothing"]
    assert rows()[-1]["ended"] == "finished"
