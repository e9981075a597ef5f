"""Every example runs as it stands, and shows each epoch's energy beside its loss."""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from logcheck import check_whole, epochs, rows

from eco2ai_callbacks.runlog.verify import verify

EXAMPLES = Path(__file__).parents[2] / "examples"
# The script, what it needs, and how many epochs it trains.
KNOWN = {
    "lightning_digits.py": (("lightning", "sklearn"), 5),
    "transformers_text.py": (("transformers", "accelerate"), 4),
    "keras_digits.py": (("keras", "torch", "sklearn"), 5),
    "plain_tracker.py": ((), 3),
}
# This one writes a CSV, as a script for eco2AI does.
OF_ECO2AI = "eco2ai_script.py"


def test_every_example_has_its_line_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*KNOWN, OF_ECO2AI}


def test_a_script_of_eco2ai_writes_its_csv_and_a_log_beside_it() -> None:
    done = subprocess.run([sys.executable, str(EXAMPLES / OF_ECO2AI)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"epoch (\d): loss ([\d.]+)  energy +([\d.]+) µWh", done.stdout)
    with Path("emission.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["epoch"].split(",")[0] for row in found] == ["epoch: 0", "epoch: 1", "epoch: 2", "N/A"]
    for (_, loss, energy), row in zip(shown, found, strict=False):
        saved = re.fullmatch(r"epoch: \d, loss: ([\d.]+), ", row["epoch"])
        assert saved is not None
        assert float(saved[1]) == pytest.approx(float(loss), abs=0.0006)
        assert float(row["power_consumption(kWh)"]) * 1e9 >= float(energy) - 0.06  # the row also holds what followed
    assert [row["experiment_description"] for row in found] == ["the training"] * 3 + ["the evaluation"]
    assert "accuracy" in done.stdout
    assert verify(Path("emission.jsonl")).whole


@pytest.mark.parametrize("name", KNOWN)
def test_an_example_trains_and_shows_its_energy(name: str) -> None:
    needs, count = KNOWN[name]
    for package in needs:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ECO2AI_REGION": "FR"},
    )
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"epoch (\d): loss ([\d.]+).*energy +([\d.]+) µWh +CO2 +([\d.]+) µg", done.stdout)
    assert [int(row[0]) for row in shown] == list(range(count))
    assert "accuracy" in done.stdout
    check_whole(rows())
    for row, record in zip(shown, epochs(rows()), strict=True):
        assert float(row[2]) == pytest.approx(record["epoch_total"]["energy_kwh"] * 1e9, abs=0.06)
        assert float(row[3]) == pytest.approx(record["epoch_total"]["co2_kg"] * 1e9, abs=0.006)
    assert re.search(r"^eco2ai: .*Wh.*CO2e", done.stderr, re.MULTILINE)
