"""Metrics and what was used by the time they were reached."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.comparing.metric import Curve, Step, chosen, common_value, is_lower_better, words_of


def curve(lower: bool, *values: float) -> Curve:
    found = Curve(lower)
    for epoch, value in enumerate(values):
        found.add(Step(value, 10.0 * (epoch + 1), epoch))
    return found


def test_a_curve_keeps_what_is_better_than_all_before() -> None:
    loss = curve(True, 1.0, 0.5, 0.7, 0.5, 0.2)
    assert [step.value for step in loss.steps] == [1.0, 0.5, 0.2]
    assert loss.best == 0.2
    assert [loss.reach(value).joules for value in (2.0, 1.0, 0.6, 0.5, 0.2)] == [10.0, 10.0, 20.0, 20.0, 50.0]  # type: ignore[union-attr]
    assert loss.reach(0.1) is None
    accuracy = curve(False, 0.1, 0.8, 0.6, 0.9)
    assert accuracy.reach(0.7) == Step(0.8, 20.0, 1)
    assert accuracy.reach(0.95) is None
    assert Curve(True).reach(1.0) is None


def test_the_common_value_is_the_best_that_all_have_reached() -> None:
    assert common_value([curve(True, 1.0, 0.3), curve(True, 0.9, 0.5)]) == 0.5
    assert common_value([curve(False, 0.3, 0.7), curve(False, 0.6)]) == 0.6
    assert common_value([curve(True, 1.0), Curve(True)]) is None
    assert common_value([]) is None


@pytest.mark.parametrize(
    ("name", "lower"),
    [
        ("loss", True),
        ("trainLoss", True),
        ("eval_loss", True),
        ("val/perplexity", True),
        ("trainloss", True),
        ("val_acc", False),
        ("MulticlassAccuracy", False),
        ("testaccuracy", False),
        ("eval_f1", False),
        ("lr", None),
        ("epoch", None),
        ("glossary", None),
    ],
)
def test_which_way_is_better_is_told_by_the_name(name: str, lower: bool | None) -> None:
    assert is_lower_better(name) is lower


def test_a_held_out_loss_is_chosen_first() -> None:
    assert chosen(["loss", "accuracy", "val_accuracy", "val_loss", "val_loss_epoch"]) == "val_loss"
    assert chosen(["accuracy", "loss"]) == "loss"
    assert chosen([]) is None
    assert words_of("valAcc_top1/x") == ["val", "acc", "top1", "x"]
