"""Where a run is heading: its forecast and its budget, without a tracker."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.metrics.outlook import WRITTEN_EVERY, Outlook
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.usage import Usage


def used(seconds: float, watts: float = 100.0) -> Usage:
    return Usage(seconds, {"cpu": watts * seconds}, seconds)


def test_a_forecast_comes_after_as_many_epochs_as_the_setting_says() -> None:
    outlook = Outlook(Settings(forecast_after=2))
    outlook.begin(continued=False)
    found = []
    for epoch in range(1, 5):
        total = used(10.0 * epoch)
        outlook.reached(epoch, total, total)
        found.append(outlook.forecast(4, total))
    assert [each is not None for each in found] == [False, True, True, False]  # at the end nothing is left
    assert found[1] is not None
    assert found[1].seconds.expected == pytest.approx(40.0)


def test_loggers_get_a_figure_in_every_epoch_and_at_the_end_the_total() -> None:
    outlook = Outlook(Settings(forecast_after=3))
    outlook.begin(continued=False)
    found = []
    for epoch, seconds in enumerate((30.0, 40.0, 50.0, 61.0), 1):
        outlook.reached(epoch, used(seconds), used(seconds))
        shown = outlook.expected(4, used(seconds), (0.9, 1.2))
        assert shown is not None
        assert shown.joules is not None
        found.append(shown.seconds.expected)
    assert found == pytest.approx([120.0, 60.0, 60.0, 61.0])
    assert shown.joules.expected == 6100.0
    assert (shown.joules.low, shown.joules.high) == pytest.approx((0.9 * 6100, 1.2 * 6100))  # the measurement's own
    assert outlook.forecast(4, used(61.0)) is None  # nothing is left to tell


def test_what_came_between_two_epochs_comes_no_more_after_the_last() -> None:
    outlook = Outlook(Settings())
    outlook.begin(continued=False)
    for epoch in (1, 2, 3):
        outlook.resume_training(used(13.0 * epoch - 10.0))  # an evaluation of 3 s
        outlook.reached(epoch, used(13.0 * epoch), used(13.0 * epoch))
    found = outlook.expected(3, used(39.0))
    assert found is not None
    assert found.seconds.expected == 39.0


@pytest.mark.parametrize("settings", [Settings(forecast_after=0), Settings()])
def test_without_a_plan_or_with_the_setting_off_there_is_none(settings: Settings) -> None:
    outlook = Outlook(settings)
    outlook.begin(continued=False)
    for epoch in range(1, 4):
        outlook.reached(epoch, used(10.0 * epoch), used(10.0 * epoch))
    assert outlook.forecast(None, used(30.0)) is None
    assert outlook.expected(None, used(30.0)) is None
    for found in (outlook.forecast(9, used(30.0)), outlook.expected(9, used(30.0))):
        assert (found is None) is (settings.forecast_after == 0)


def test_how_far_a_run_that_goes_on_has_come_its_framework_says() -> None:
    outlook = Outlook(Settings(forecast_after=1))
    outlook.begin(continued=True)
    outlook.reached(3, used(300.0), used(300.0))
    outlook.reached(4, used(310.0), used(310.0))
    found = outlook.forecast(6, used(310.0))
    assert found is not None
    assert found.seconds.expected == pytest.approx(330.0)


def test_what_lies_between_two_epochs_belongs_to_none() -> None:
    outlook = Outlook(Settings())
    outlook.begin(continued=False)
    outlook.reached(1, used(10.0), used(10.0))
    outlook.resume_training(used(13.0))  # an evaluation of 3 s
    outlook.reached(2, used(23.0), used(23.0))
    found = outlook.forecast(3, used(23.0))
    assert found is not None
    assert found.seconds.expected == pytest.approx(23.0 + 13.0 + 3.0)


def test_the_first_budget_that_is_used_up_is_how_the_run_ends() -> None:
    outlook = Outlook(Settings(max_energy_kwh=0.001))
    assert outlook.over_budget(used(10.0), 0) is None
    assert outlook.ended == "finished"
    sentence = "the budget of 0.001 kWh is used up: 0.00111 kWh after epoch 1"
    assert outlook.over_budget(used(40.0), 1) == sentence
    assert outlook.over_budget(used(80.0), 2) != sentence
    assert outlook.over == sentence
    assert outlook.ended == f"budget: {sentence}"


def test_a_budget_that_the_last_epoch_uses_up_ends_nothing() -> None:
    outlook = Outlook(Settings(max_energy_kwh=0.001))
    assert outlook.over_budget(used(40.0), 1, complete=True) == (
        "the budget of 0.001 kWh is used up: 0.00111 kWh after epoch 1"
    )
    assert outlook.ended == "finished"


@pytest.mark.parametrize(
    ("done", "planned", "complete"),
    [(2, 3, False), (3, 3, True), (4.0, 3, True), (0.9, 1.0, False), (3, None, False), (3, 0, False), (None, 3, False)],
)
def test_the_last_epoch_is_the_one_that_the_plan_ends_with(
    done: float | None, planned: float | None, complete: bool
) -> None:
    assert Outlook(Settings()).completes(done, planned) is complete


def test_a_plan_that_training_outlasts_is_believed_once() -> None:
    outlook = Outlook(Settings())
    assert [outlook.completes(done, 2) for done in (1, 2, 3, 4)] == [False, True, False, False]


def test_a_budget_that_nothing_measured_can_reach_is_named() -> None:
    outlook = Outlook(Settings(max_co2_kg=1.0))
    assert outlook.unenforceable_budget(used(1.0)) is None
    assert outlook.unenforceable_budget(Usage(1.0)) == "budget: nothing is measured, so the 1 kg CO2e stop nothing"


def test_before_enough_epochs_have_ended_steps_give_a_forecast() -> None:
    outlook = Outlook(Settings(forecast_after=2))
    outlook.begin(continued=False)
    outlook.reached(0, used(0.0), used(0.0))
    found = {step: outlook.forecast_by_steps(step, 1000, used(0.5 * step)) for step in range(10, 200, 10)}
    # The first stretch holds what a run does once; later ones are shown where the progress has doubled.
    assert [step for step, each in found.items() if each is not None] == [30, 60, 120]
    for each in found.values():
        if each is not None:
            assert each.seconds.expected == pytest.approx(500.0)
            assert each.joules is not None
            assert each.joules.low < each.joules.expected < each.joules.high
            assert (each.epochs, each.planned) == (0, 1000)


def test_what_is_done_once_at_the_start_is_not_expected_again_by_steps() -> None:
    outlook = Outlook(Settings())
    outlook.begin(continued=False)
    steps = [
        outlook.forecast_by_steps(step, 100, used(seconds)) for step, seconds in ((1, 90.0), (2, 100.0), (3, 101.0))
    ]
    assert steps[2] is not None
    assert steps[2].seconds.expected == pytest.approx(101.0 + 97.0)


@pytest.mark.parametrize(
    ("settings", "planned", "epochs"),
    [(Settings(forecast_after=0), 100, 0), (Settings(), None, 0), (Settings(), 3, 0), (Settings(), 100, 2)],
    ids=["off", "no plan", "at the end", "epochs are enough"],
)
def test_steps_give_none(settings: Settings, planned: float | None, epochs: int) -> None:
    outlook = Outlook(settings)
    outlook.begin(continued=False)
    for epoch in range(1, epochs + 1):
        outlook.reached(epoch, used(float(epoch)), used(float(epoch)))
    assert [outlook.forecast_by_steps(step, planned, used(10.0 + step)) for step in (3, 4, 5)] == [None] * 3


def test_a_long_run_s_log_gets_a_forecast_for_each_part_of_the_plan_not_for_each_epoch() -> None:
    outlook = Outlook(Settings(forecast_after=2))
    for _ in range(2):  # a session that resumes or starts anew writes its first again
        outlook.begin(continued=False)
        written = []
        for epoch in range(1, 1000):
            outlook.reached(epoch, used(10.0 * epoch), used(10.0 * epoch))
            found = outlook.forecast(1000, used(10.0 * epoch))
            if found is not None and outlook.is_to_be_written(found):
                written.append(epoch)
        assert written == list(range(2, 1000, round(1000 * WRITTEN_EVERY)))


def test_a_short_run_s_log_gets_a_forecast_for_each_epoch() -> None:
    outlook = Outlook(Settings(forecast_after=1))
    outlook.begin(continued=False)
    for epoch in range(1, 10):
        outlook.reached(epoch, used(10.0 * epoch), used(10.0 * epoch))
        found = outlook.forecast(10, used(10.0 * epoch))
        assert found is not None
        assert outlook.is_to_be_written(found)
