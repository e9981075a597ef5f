"""Compare this package's look-up of a processor by name with eco2AI's and CodeCarbon's own, on one list of names.

In an environment of its own, at the repository's root::

    python -m venv peers && peers/bin/pip install -e . eco2ai==0.3.12 codecarbon==3.3.2 "setuptools<81"
    peers/bin/python tools/cpu_table/compare.py [--each] [tests/unit/meters/cpu/cpu_names.csv]
"""

from __future__ import annotations

import argparse
import csv
import warnings
from collections.abc import Callable
from pathlib import Path

from eco2ai_callbacks.meters.cpu.table import lookup

NAMES = Path(__file__).parents[2] / "tests" / "unit" / "meters" / "cpu" / "cpu_names.csv"

# Relative errors: a figure is right within rounding; with more than a fifth it is grossly wrong.
RIGHT, GROSS = 0.05, 0.20

Matcher = Callable[[str], float | None]


def ours() -> Matcher:
    """Return this package's look-up."""

    def match(name: str) -> float | None:
        cpu = lookup(name)
        return None if cpu is None else cpu.tdp_w

    return match


def eco2ai() -> Matcher:
    """Return eco2AI's look-up, called as its tracker calls it."""
    from eco2ai.tools.tools_cpu import CONSTANT_CONSUMPTION, CPU_TABLE_NAME, find_tdp_value

    def match(name: str) -> float | None:
        found = find_tdp_value(name, CPU_TABLE_NAME, False)
        return None if found is False or found == CONSTANT_CONSUMPTION else float(found)

    return match


def codecarbon() -> Matcher:
    """Return CodeCarbon's look-up, without its fallback of a constant per thread."""
    from codecarbon.core.cpu import TDP

    registry = TDP.__new__(TDP)

    def match(name: str) -> float | None:
        found = registry._get_cpu_power_from_registry(name)
        return None if found is None else float(found)

    return match


def compare(matcher: Matcher, rows: list[tuple[str, float | None]], each: bool) -> list[int]:
    """Return counts for names of one model: right, wrong, grossly wrong of these, refused; and answers for others."""
    counts = [0, 0, 0, 0, 0]
    for name, expected in rows:
        try:
            found = matcher(name)
        except Exception as error:  # noqa: BLE001 a peer that fails gives no answer
            found = None
            if each:
                print(f"  failed   {name!r}: {error!r}")
        if expected is None:
            counts[4] += found is not None
            verdict = "answered" if found is not None else ""
        elif found is None:
            counts[3] += 1
            verdict = "refused"
        else:
            off = abs(found - expected) / expected
            counts[0] += off <= RIGHT
            counts[1] += off > RIGHT
            counts[2] += off > GROSS
            verdict = "wrong" if off > RIGHT else ""
        if each and verdict:
            print(f"  {verdict:8} {name!r}: {found} W, expected {expected}")
    return counts


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="?", type=Path, default=NAMES, help="a CSV with columns name and tdp_w")
    parser.add_argument("--each", action="store_true", help="print every name that is not answered right")
    options = parser.parse_args()
    with options.names.open(encoding="utf-8", newline="") as file:
        parsed = csv.DictReader(line for line in file if not line.startswith("#"))
        rows = [(row["name"], float(row["tdp_w"]) if row["tdp_w"] else None) for row in parsed]
    clear = sum(expected is not None for _, expected in rows)
    print(f"{clear} names that identify a model, {len(rows) - clear} that do not\n")
    print(f"{'':12}{'right':>9}{'wrong':>9}{'>20 % off':>11}{'refused':>9}{'answered where ambiguous':>27}")
    for load in (ours, eco2ai, codecarbon):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                counts = compare(load(), rows, options.each)
        except ImportError as error:
            print(f"{load.__name__:12}not installed ({error}); how to install it stands at the top of this script")
            continue
        right, wrong, gross, refused = (f"{100 * count / clear:.1f} %" for count in counts[:4])
        ambiguous = f"{counts[4]} of {len(rows) - clear}"
        print(f"{load.__name__:12}{right:>9}{wrong:>9}{gross:>11}{refused:>9}{ambiguous:>27}")


if __name__ == "__main__":
    main()
