"""The figures of one run that are compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from seeds import seed

from eco2ai_callbacks.comparing.figures import Figures, figures_of
from eco2ai_callbacks.report.load import load

LOG = Path("eco2ai.jsonl")


def only(**options: dict[str, bool]) -> Figures:
    return figures_of(load(LOG).runs[0], **options)


def test_energy_per_epoch_is_without_what_is_outside_of_epochs() -> None:
    seed(LOG, "a", 2.0)
    found = only()
    assert (found.joules, found.epochs, found.epoch_j, found.open_epochs) == (pytest.approx(324.0), 4, 72.0, 0)
    assert (found.samples, found.stages) == (100.0, {"train"})
    assert found.curves.keys() == {"val_loss"}
    assert found.curves["val_loss"].reach(0.5).joules == pytest.approx(144.0)  # type: ignore[union-attr]


def test_an_epoch_that_was_cut_off_is_no_epoch() -> None:
    written = seed(LOG, "a", epochs=2, ends=False)
    written.heartbeat(2)
    found = only()
    assert (found.joules, found.epochs, found.epoch_j, found.open_epochs) == (pytest.approx(108.0), 2, 36.0, 1)


def test_a_repeated_attempt_and_an_evaluation_are_part_of_their_epoch() -> None:
    written = seed(LOG, "a", epochs=1, ends=False)
    written.mark("stage", 0, "validate")
    written.mark("epoch", 0, attempt=2, metrics={"val_loss": 0.9})
    found = only()
    assert (found.epochs, found.epoch_j, found.stages) == (1, pytest.approx(108.0), {"train", "validate"})
    assert found.curves["val_loss"].best == 0.9


def test_a_run_without_epochs_or_energy_has_no_figure() -> None:
    written = seed(LOG, "a", epochs=0, ends=False)
    assert (only().joules, only().epoch_j, only().samples) == (None, None, None)
    written.mark("stage", None, "other")
    assert (only().joules, only().epoch_j, only().epochs) == (36.0, None, 0)


def test_a_metric_whose_name_tells_nothing_needs_a_direction() -> None:
    seed(LOG, "a")
    assert "lr" not in only().curves
    assert only(directions={"lr": True}).curves["lr"].best == 0.1


def test_metrics_that_are_no_numbers_are_passed_over() -> None:
    written = seed(LOG, "a", epochs=0, ends=False)
    for epoch, loss in enumerate((float("nan"), float("inf"), "text", None, 0.5, True)):
        written.mark("epoch", 10**9 + epoch, metrics={"loss": loss})
    found = only()
    assert found.epochs == 6
    assert [(step.value, step.epoch) for step in found.curves["loss"].steps] == [(0.5, 10**9 + 4)]


def test_numbers_that_no_training_has_are_no_figures() -> None:
    written = seed(LOG, "a", 1e299, epochs=1, ends=False)
    written.mark("epoch", 1, metrics={"val_loss": -1e300})
    found = only()
    assert (found.joules, found.epoch_j, found.epochs) == (None, None, 2)
    assert found.curves["val_loss"].best == 1.0
