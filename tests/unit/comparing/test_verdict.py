"""Comparisons of groups of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from seeds import base_and_pruned, seed, seeds

from eco2ai_callbacks.comparing.groups import by_key
from eco2ai_callbacks.comparing.verdict import Compared, NotComparable, Question, compare
from eco2ai_callbacks.report.load import load

LOG = Path("eco2ai.jsonl")


def compared(**asked: Any) -> Compared:
    return compare(by_key(load(LOG), "project"), Question(**asked))


def test_seeds_that_use_less_are_told_apart() -> None:
    base_and_pruned()
    found = compared()
    assert [each.measure for each in found.comparisons] == ["epoch", "reach", "run"]
    epoch, reach, run = found.comparisons
    assert epoch.is_shown
    assert epoch.value == pytest.approx(-0.12)
    assert epoch.sentence.startswith("pruned uses 12 % [")
    assert " less energy per epoch than base at equal val_loss (5 and 5 runs, p = 0.0079)." in epoch.sentence
    assert (found.metric, found.reach, found.lower) == ("val_loss", 0.25, True)
    assert reach.sentence.startswith("pruned uses 12 % [")
    assert "to reach val_loss <= 0.25" in reach.sentence
    assert run.value == pytest.approx(-0.096)


def test_the_same_question_has_the_same_answer() -> None:
    base_and_pruned()
    assert compared().comparisons == compared().comparisons
    assert compared(seed=1).comparisons[0].change != compared().comparisons[0].change


def test_a_worse_metric_is_said_beside_the_energy() -> None:
    seeds(LOG, "base", (1.0, 1.01, 0.99, 1.02))
    seeds(LOG, "fast", (0.5, 0.51, 0.49, 0.52), loss=1.5)
    epoch, reach, _ = compared().comparisons
    assert "less energy per epoch than base at a val_loss that is 33 % worse" in epoch.sentence
    assert reach.phrase == "to reach val_loss <= 0.375"
    assert reach.value == pytest.approx(4 * 0.505 / (3 * 1.005) - 1)


def test_a_metric_that_may_differ_is_not_called_equal() -> None:
    seeds(LOG, "base", (1.0, 1.01))
    seeds(LOG, "other", (1.0, 1.01))
    for number, loss in enumerate((0.8, 1.25)):
        seed(LOG, f"x{number}", project="base", loss=loss)
    assert " at a val_loss that may differ by " in compared().comparisons[0].sentence


def test_a_value_that_not_all_reach_cannot_be_compared() -> None:
    base_and_pruned()
    seed(LOG, "late", project="pruned", loss=2.0)
    reach = compared(metric="val_loss", reach=0.25).comparisons[1]
    assert reach.doubts == ("1 of 6 runs of pruned did not get there",)
    assert not reach.is_shown
    nobody = compared(metric="val_loss", reach=0.01).comparisons[1]
    assert nobody.value is None
    assert nobody.sentence.startswith(
        "The energy to reach val_loss <= 0.01 of pruned and base cannot be compared: no run"
    )


def test_a_metric_is_one_that_is_logged_and_has_a_direction() -> None:
    base_and_pruned()
    with pytest.raises(NotComparable, match="--metric='f1' is in none of the runs; logged are lr, val_loss"):
        compared(metric="f1")
    with pytest.raises(NotComparable, match="--metric='lr' does not tell by its name which way is better"):
        compared(metric="lr")
    assert compared(metric="lr", lower=False).reach == 0.1


def test_runs_without_epochs_are_compared_as_a_whole() -> None:
    seed(LOG, "a", project="p", epochs=0)
    seed(LOG, "b", project="q", epochs=0)
    found = compared()
    assert [each.measure for each in found.comparisons] == ["run"]
    assert any("no metric was logged" in note for note in found.notes)
    with pytest.raises(NotComparable, match="no metric is logged with an epoch"):
        compared(metric="loss")


def test_a_run_without_a_figure_is_left_out_and_named() -> None:
    base_and_pruned()
    seed(LOG, "short", project="base", epochs=0)
    seed(LOG, "nothing", project="base", epochs=0, ends=False)
    found = compared()
    assert len(found.comparisons[0].before) == 5
    assert "nothing was measured in 1 of 7 runs of base: they are left out" in found.notes
    assert "1 of 7 runs of base have no whole epoch" in found.notes


def test_several_groups_are_each_compared_with_the_first_and_held_to_more() -> None:
    base_and_pruned()
    seeds(LOG, "third", (0.7, 0.71, 0.69, 0.72, 0.68))
    found = compared()
    assert [(each.other, each.measure) for each in found.comparisons][:4] == [
        *(("pruned", "epoch"), ("pruned", "reach"), ("pruned", "run"), ("third", "epoch")),
    ]
    assert found.comparisons[0].p == pytest.approx(2 * 2 / 252)


def test_it_and_facility_energy_are_never_mixed() -> None:
    seeds(LOG, "base", (1.0, 1.01, 0.99, 1.02), pue=1.0)
    seeds(LOG, "far", (1.0, 1.01, 0.99, 1.02), pue=2.0)
    found = compared()
    assert found.comparisons[0].value == pytest.approx(0.0)
    assert any(note.startswith("CO2e is not compared") for note in found.notes)
