"""A model card's emissions from run logs."""

from __future__ import annotations

from pathlib import Path

import pytest
from publications import trained_runs
from report_logs import training

from eco2ai_callbacks.report.card import field_of
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.statement import statement


def test_a_card_from_the_log_is_that_of_the_tracker() -> None:
    found = field_of(statement(trained_runs()), "fine-tuning")
    assert found is not None
    assert found.pop("emissions") == pytest.approx(17.6205, rel=1e-5)
    assert found == {
        "source": "eco2AI (eco2ai-callbacks 0.1.0)",
        "training_type": "fine-tuning",
        "geographical_location": "France",
        "hardware_used": "1 x NVIDIA L4",
    }


def test_what_is_not_known_is_left_out_and_hardware_may_be_given() -> None:
    training(Path("eco2ai.jsonl"), version="CodeCarbon 3.0", intensity={"g_per_kwh": 1.0, "found_by": "unknown"})
    found = field_of(statement(load("eco2ai.jsonl")), hardware="a laptop")
    assert found is not None
    assert (found["source"], found["hardware_used"]) == ("CodeCarbon 3.0", "a laptop")
    assert found.keys() == {"emissions", "source", "hardware_used"}
    assert field_of(statement(())) is None
