"""Copy the raw facts about processors out of the packages that contain them, into CSV files beside this script.

Run once per new version of a package: ``python extract.py eco2ai-*.whl codecarbon-*.whl ecotrace-*.whl``.
"""

from __future__ import annotations

import csv
import io
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

HERE = Path(__file__).parent

Row = Mapping[str, str]

# Of ecotrace's rows, those that it took from exports of Intel's and AMD's own product pages and from PassMark's list,
# all three gathered at github.com/felixsteinke/cpu-spec-dataset. Its other rows have other owners and stay out.
ECOTRACE_DATASETS = {"intel-spec-dataset": "intel", "amd-spec-dataset": "amd", "benchmark-spec-dataset": "passmark"}


def eco2ai(rows: Iterable[Row]) -> Iterator[list[str]]:
    """Return rows ``name, tdp_w, cores, released`` of eco2AI's table; the base power where it has both."""
    for row in rows:
        yield [row["Model"], row["TDP (Base)"] or row["TDP"], row["Cores"], row["Released"]]


def codecarbon(rows: Iterable[Row]) -> Iterator[list[str]]:
    """Return rows ``name, tdp_w`` of CodeCarbon's table."""
    for row in rows:
        yield [row["Name"], row["TDP"]]


def ecotrace(rows: Iterable[Row]) -> Iterator[list[str]]:
    """Return rows ``name, tdp_w, cores, threads, released, dataset, line`` of EcoTrace's table."""
    for row in rows:
        if row["source"] in ECOTRACE_DATASETS:
            dataset = ECOTRACE_DATASETS[row["source"]]
            yield [
                row["name"],
                row["tdp"],
                row["cores"],
                row["threads"],
                row["release_date"],
                dataset,
                row["code_name"],
            ]


PACKAGES = {
    "eco2ai": ("eco2ai/data/cpu_names.csv", eco2ai, "name,tdp_w,cores,released", "Apache-2.0"),
    "codecarbon": ("codecarbon/data/hardware/cpu_power.csv", codecarbon, "name,tdp_w", "MIT"),
    "ecotrace": ("ecotrace/cpu_data.csv", ecotrace, "name,tdp_w,cores,threads,released,dataset,line", "MIT"),
}


def extract(wheel: Path) -> Path:
    """Write the facts of one wheel and return the file; the package is identified by the wheel's name."""
    package, version = wheel.name.split("-")[:2]
    member, rows, columns, licence = PACKAGES[package]
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(member).decode("utf-8-sig")
    target = HERE / f"{package}.csv"
    with target.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# Raw facts, as they are, from {package} {version} on PyPI ({member}); licence {licence}.\n")
        file.write("# tdp_w in watts. See README.md for what is known about their own sources.\n")
        file.write(columns + "\n")
        csv.writer(file, lineterminator="\n").writerows(rows(csv.DictReader(io.StringIO(text))))
    return target


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(extract(Path(argument)))
