"""The EU AI Act's Annex XI: compute and energy of a model's training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from publications import trained_runs
from report_logs import HOSTILE, training

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.export.standards.ai_act import write
from eco2ai_callbacks.report.load import load

# By the Model Documentation Form of the Code of Practice.
ASKED = {"energy_mwh", "energy_kind", "energy_methodology", "training_began", "training_ended", "training_days"}


def test_all_that_a_log_holds_is_there_and_the_rest_is_left_out() -> None:
    (run,) = runs = trained_runs()
    found = json.loads(write(runs, {}))
    assert found.keys() > ASKED
    assert found["energy_mwh"] == pytest.approx(run.energy_kwh / 1000)
    assert found["energy_kind"] == "partly measured"
    assert found["energy_boundary"] == "IT energy, without the data centre's overhead (PUE)"
    assert found["hardware_days"] == found["training_days"] == pytest.approx(3 / 24)
    assert found["hardware"] == "1 x NVIDIA L4"
    assert "training_flop" not in found
    low, high = found["energy_band_mwh"]
    assert low < found["energy_mwh"] < high


def test_the_methodology_is_about_a_hundred_words() -> None:
    assert 50 < len(json.loads(write(trained_runs(), {}))["energy_methodology"].split()) < 200


def test_options_are_stated() -> None:
    options = {"flop": "1.2e24", "flop_methodology": "6ND", "hardware": "8 nodes", "name": "m", "boundary": "facility"}
    found = json.loads(write(trained_runs(), options))
    assert (found["training_flop"], found["training_flop_methodology"]) == (1.2e24, "6ND")
    assert (found["hardware"], found["model"]) == ("8 nodes", "m")
    assert "PUE 1.2" in found["energy_boundary"]


def test_markdown_has_two_figures_or_more_and_no_exponent() -> None:
    text = write(trained_runs(), {"form": "markdown", "flop": "1.2e24"})
    assert "| Energy of the training (MWh) | 0.000276 |" in text
    assert "| 1200000000000000000000000 |" in text
    assert "e-" not in text.replace("cpu-model", "").partition("Methodology")[0]


def test_hostile_names_stay_in_their_cells() -> None:
    for number, name in enumerate(HOSTILE):
        training(Path(f"{number}.jsonl"), f"run{number}", project=name, not_covered=(name,))
        text = write(load(f"{number}.jsonl").runs, {"form": "markdown"})
        assert "<script" not in text
        assert all(line.startswith("| ") and line.endswith(" |") for line in text.splitlines()[2:])


def test_a_run_that_was_not_measured_has_nothing_to_state() -> None:
    with pytest.raises(SettingsError, match="nothing was measured in these runs"):
        write((), {})
