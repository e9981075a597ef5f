"""How many epochs' energy can be read back from what a tracker left on disk."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path


def epochs_on_disk(tracker: str, folder: Path) -> int:
    """Return the number of epochs for which the files in a folder hold an energy.

    Args:
        tracker: Module in ``benchmarks/probes/trackers``.
        folder: Where it wrote.
    """
    return READERS[tracker](folder)


def is_number(text: object) -> bool:
    """Whether a field holds a finite number."""
    try:
        return math.isfinite(float(str(text)))
    except ValueError:
        return False


def _run_log(folder: Path) -> int:
    """JSON Lines; a last line may be torn."""
    found = 0
    for path in folder.glob("eco2ai*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            found += record["event"] == "epoch" and is_number(record["epoch_energy_kwh"])
    return found


def _rows(path: Path, column: str) -> int:
    """CSV rows with a number in a column."""
    if not path.is_file():
        return 0
    with path.open(encoding="utf-8", newline="") as file:
        return _numbers(csv.DictReader(file), column)


def _numbers(rows: Iterable[dict[str, str]], column: str) -> int:
    return sum(is_number(row.get(column)) for row in rows)


def _carbontracker(folder: Path) -> int:
    """Text logs, one for each process, that give an epoch's mean watts beside its duration."""
    pattern = re.compile(r"Average power usage \(W\) for cpu: (\S+)")
    logs = (path.read_text(encoding="utf-8") for path in folder.glob("*carbontracker.log"))
    return sum(is_number(watts) for log in logs for watts in pattern.findall(log))


def _zeus(folder: Path) -> int:
    """CSV rows with the energy of at least one device; the columns are those of the GPUs."""
    path = folder / "zeus.csv"
    if not path.is_file():
        return 0
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return sum(any(is_number(value) for name, value in row.items() if "energy" in name) for row in rows)


def _pyjoules(folder: Path) -> int:
    path = folder / "pyjoules.csv"
    if not path.is_file():
        return 0
    with path.open(encoding="utf-8", newline="") as file:
        return sum(is_number(row.get("package_0")) for row in csv.DictReader(file, delimiter=";"))


def _landauer_gap(folder: Path) -> int:
    path = folder / "joules.json"
    if not path.is_file():
        return 0
    return sum(is_number(phase["energy_j"]) for phase in json.loads(path.read_text(encoding="utf-8"))["phases"])


READERS: dict[str, Callable[[Path], int]] = {
    "eco2ai_callbacks_": _run_log,
    "codecarbon_": lambda folder: _rows(folder / "emissions.csv", "energy_consumed"),
    "carbontracker_": _carbontracker,
    "eco2ai_": lambda folder: _rows(folder / "emission.csv", "power_consumption(kWh)"),
    "zeus_": _zeus,
    "pyjoules_": _pyjoules,
    "landauer_gap_": _landauer_gap,
}
