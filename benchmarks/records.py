"""How many epochs' energy can be read back from what a tracker left on disk."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
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


def _text(path: Path) -> str:
    """A file as far as it is text: writers that overwrite each other leave holes."""
    return path.read_text(encoding="utf-8", errors="replace").replace("\0", "") if path.is_file() else ""


def _run_log(folder: Path) -> int:
    """JSON Lines; a last line may be torn."""
    found = 0
    for path in folder.glob("eco2ai*.jsonl"):
        for line in _text(path).splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            # A record leaves out an epoch's energy that is the same as its own.
            energy = record.get("epoch_energy_kwh", record.get("energy_kwh"))
            found += record["event"] == "epoch" and is_number(energy)
    return found


def _rows(path: Path, columns: str, delimiter: str = ",") -> int:
    """CSV rows with a number in at least one of the columns whose name has this in it."""
    rows = csv.DictReader(_text(path).splitlines(), delimiter=delimiter)
    return sum(any(is_number(value) for name, value in row.items() if name and columns in name) for row in rows)


def _carbontracker(folder: Path) -> int:
    """Text logs, one for each process, that give an epoch's mean watts beside its duration."""
    pattern = re.compile(r"Average power usage \(W\) for cpu: (\S+)")
    logs = (_text(path) for path in folder.glob("*carbontracker.log"))
    return sum(is_number(watts) for log in logs for watts in pattern.findall(log))


def _landauer_gap(folder: Path) -> int:
    try:
        phases = json.loads(_text(folder / "joules.json"))["phases"]
    except ValueError:
        return 0
    return sum(is_number(phase["energy_j"]) for phase in phases)


READERS: dict[str, Callable[[Path], int]] = {
    "eco2ai_callbacks_": _run_log,
    "codecarbon_": lambda folder: _rows(folder / "emissions.csv", "energy_consumed"),
    "carbontracker_": _carbontracker,
    "eco2ai_": lambda folder: _rows(folder / "emission.csv", "power_consumption(kWh)"),
    # Its columns are those of the GPUs.
    "zeus_": lambda folder: _rows(folder / "zeus.csv", "_energy"),
    "pyjoules_": lambda folder: _rows(folder / "pyjoules.csv", "package_", ";"),
    "landauer_gap_": _landauer_gap,
}
