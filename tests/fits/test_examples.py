"""Every example runs as it stands, and shows each epoch's energy beside its loss."""

from __future__ import annotations

import ast
import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from logcheck import check_whole, epochs, rows

from eco2ai_callbacks import load
from eco2ai_callbacks.cli import main
from eco2ai_callbacks.runlog.verify import verify

EXAMPLES = Path(__file__).parents[2] / "examples"
# The script, what it needs, and how many epochs it trains.
KNOWN = {
    "lightning_digits.py": (("lightning", "sklearn"), 5),
    "transformers_text.py": (("transformers", "accelerate"), 4),
    "keras_digits.py": (("keras", "torch", "sklearn"), 5),
    "accelerate_loop.py": (("accelerate", "sklearn"), 4),
    "plain_tracker.py": ((), 3),
    "flax_loop.py": (("flax", "optax"), 4),
}
# This one writes a CSV, as a script for eco2AI does.
OF_ECO2AI = "eco2ai_script.py"
# These have tests of their own below.
SWEEP, NOTEBOOK, SLURM = "sweep.py", "in_a_notebook.ipynb", "slurm_job.sh"
# This one in tests/system/test_ray.py.
OF_RAY = "ray_train.py"


def test_every_example_has_its_line_here() -> None:
    found = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert found == {*KNOWN, OF_ECO2AI, SWEEP, NOTEBOOK, SLURM, OF_RAY}


def test_a_sweep_is_a_run_for_each_setting_with_its_accuracy() -> None:
    done = subprocess.run([sys.executable, str(EXAMPLES / SWEEP)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"rate=([\d.]+) epochs=(\d) +accuracy ([\d.]+)  energy +([\d.]+) µWh", done.stdout)
    assert len({(rate, epochs) for rate, epochs, _, _ in shown}) == 6
    energies = [float(energy) for *_, energy in shown]
    assert energies == sorted(energies)
    assert all(0.5 < float(accuracy) < 1 for _, _, accuracy, _ in shown)
    assert len({accuracy for _, _, accuracy, _ in shown}) > 3
    assert verify(Path("eco2ai.jsonl")).whole
    assert {len(run.epochs) for run in load("eco2ai.jsonl")} == {1, 4}


def test_the_cells_of_a_notebook_run_from_top_to_bottom(capsys: pytest.CaptureFixture[str]) -> None:
    notebook = json.loads((EXAMPLES / NOTEBOOK).read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    names: dict[str, object] = {"__name__": "notebook"}
    shown = []
    for cell in (cell for cell in notebook["cells"] if cell["cell_type"] == "code"):
        assert not cell["outputs"], "outputs of one machine are not kept"
        assert cell["execution_count"] is None
        *body, last = ast.parse("".join(cell["source"])).body
        ends_in_value = isinstance(last, ast.Expr)
        exec(compile(ast.Module(body if ends_in_value else [*body, last], []), NOTEBOOK, "exec"), names)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), NOTEBOOK, "eval"), names))
    assert capsys.readouterr().out.count("µWh") == 6
    assert len(shown) == 2
    assert all("Wh" in value._repr_html_() for value in shown)


def test_the_sketch_for_slurm_is_a_script_and_runs_what_is_there() -> None:
    assert subprocess.run(["bash", "-n", str(EXAMPLES / SLURM)], check=False).returncode == 0
    text = (EXAMPLES / SLURM).read_text(encoding="utf-8")
    assert re.findall(r"^eco2ai (\w+)", text, re.MULTILINE) == ["report", "merge", "verify"]
    for command, options in re.findall(r"^eco2ai (\w+) (.*)$", text, re.MULTILINE):
        known = {option for each in main.commands[command].params for option in each.opts}
        assert set(re.findall(r"--[\w-]+", options)) <= known


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


@pytest.mark.extra
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
