"""Build the table of processor models from the raw facts beside this script.

Run ``python tools/cpu_table/build.py`` with the package installed. With ``--report`` it prints what was
resolved, overridden or left out, with each origin's figure. The rules are in ``README.md``.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from eco2ai_callbacks.meters.cpu.designation import designation

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "eco2ai_callbacks" / "meters" / "cpu" / "data" / "cpu.tsv"

# Relative difference up to which two origins agree: makers round, and steppings differ by a few watts.
TOLERANCE = 0.1

HEADER = """\
# TDP, cores and threads of processor models. Unit: watts of base power of one package (Intel's Processor Base Power,
# AMD's default TDP). Built by tools/cpu_table/build.py in the repository; do not edit.
# Sources: facts in eco2ai 0.3.12 (Apache-2.0), codecarbon 3.3.2 (MIT) and ecotrace 1.7.1 (MIT) on PyPI, and rows kept
# by hand; the last column names each row's own, the most trusted first. Licence of this compilation: Apache-2.0.
# designation\tname\ttdp_w\tcores\tthreads\tyear\tsource
"""

# Names that can be one model: a known line of products with a number of two digits or more (or Apple's M1, AMD's Z1).
_LINES = re.compile(
    r"(?:xeon|core|celeron|pentium|atom|itanium|quark|n\d+$|u\d+e?$|epyc|ryzen|opteron|(?:pro )?athlon|phenom|sempron"
    r"|turion|fx-|fx |(?:pro )?a\d+-|a\d+ |e\d?-|e\d |g-|gx-|rx-|c-|z-|3015|3020|apple|altra|snapdragon|c86|grace"
    r"|custom)"
)
_NUMBER = re.compile(r"\d\d|apple m\d|ryzen z\d|[gz]-[a-z]\d|grace superchip|^e[12]-")
# Clocks instead of model numbers, several models in one row, ranges of models: none of these identifies a model.
_NOT_ONE = re.compile(r"\b\d\.\d|/|\bsupporting\b|\d{2}xx|[|:;*]|\?|\band\b|\bseries\b|\bfamily\b|\bclass\b")


@dataclass(frozen=True, slots=True)
class Fact:
    """The figures of one row of one origin for one model."""

    origin: str
    name: str
    tdp_w: float | None
    cores: int | None = None
    threads: int | None = None
    year: int | None = None


# From the most to the least trusted. The first two are exports of the makers' own product pages. PassMark's list, which
# eco2AI copies for older parts, takes its figures from many contributors.
ORIGINS = ("ecotrace:intel", "ecotrace:amd", "codecarbon", "eco2ai", "ecotrace:passmark")
MAKERS = ORIGINS[:2]


def rows(path: Path) -> Iterator[Mapping[str, str]]:
    """Return the rows of a CSV file that may begin with comment lines."""
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))


def number(text: str | None) -> float | None:
    """Return a number above 0; ``None`` where the text is not one (raw tables hold texts such as ``27.29.5``)."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def integer(text: str | None) -> int | None:
    """Return a whole number above 0; ``None`` where the text is not one."""
    value = number(text)
    return int(value) if value and value == int(value) else None


def year(text: str | None) -> int | None:
    """Return the year in a date as origins write it: ``2021-06-01``, ``Q2 2021``, ``6/1/21``, ``6/1/2021``."""
    text = (text or "").strip()
    match = re.search(r"(?<!\d)((?:19|20)\d\d)(?!\d)", text) or re.fullmatch(r"\d+/\d+/(\d\d)", text)
    return None if match is None else int(match[1]) + (0 if len(match[1]) == 4 else 2000)


def raw_facts() -> Iterator[Fact]:
    """Return all rows of all origins."""
    for row in rows(HERE / "eco2ai.csv"):
        yield Fact("eco2ai", row["name"], number(row["tdp_w"]), integer(row["cores"]), None, year(row["released"]))
    for row in rows(HERE / "codecarbon.csv"):
        yield Fact("codecarbon", row["name"], number(row["tdp_w"]))
    for row in rows(HERE / "ecotrace.csv"):
        name = row["name"]
        if row["dataset"] == "amd" and re.fullmatch(r"\d+\S*( \S\S)?", name):
            name = f"{row['line'].replace('™', '')} {name}"  # AMD's export has bare numbers for Opterons
        cores, threads = integer(row["cores"]), integer(row["threads"])
        yield Fact(f"ecotrace:{row['dataset']}", name, number(row["tdp_w"]), cores, threads, year(row["released"]))


def is_one_model(key: str) -> bool:
    """Return whether a designation can name one model, and not a line, a clock or several."""
    return bool(_LINES.match(key) and _NUMBER.search(key) and not _NOT_ONE.search(key))


def grouped(facts: Iterable[Fact]) -> dict[str, list[Fact]]:
    """Return the facts about each model, by designation."""
    groups: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        # "Phenom II X4 955 (95W)" is a variant that the processor's own name does not distinguish.
        if fact.tdp_w is not None and not re.search(r"\(\d+ ?W\)", fact.name):
            key = designation(fact.name)
            # Intel's N100 is one model; codecarbon's bare "N640" is a Phenom, or something else.
            if is_one_model(key) and (fact.name.startswith("Intel") or not re.match(r"n\d", key)):
                groups[key].append(fact)
    return groups


def close(one: float, other: float) -> bool:
    """Return whether two figures agree."""
    return abs(one - other) <= TOLERANCE * max(one, other)


def resolve(facts: list[Fact]) -> tuple[float, list[str]] | None:
    """Return the TDP that the origins support, and these origins; ``None`` where they disagree.

    A maker's export decides. Without one, a single origin's figure is taken if no other contradicts it. Where origins
    contradict each other, the figure is taken that at least two of them give, if it is the only one.
    """
    values = {origin: [fact.tdp_w for fact in facts if fact.origin == origin] for origin in ORIGINS}
    for origin in MAKERS:
        if len(set(values[origin])) == 1:
            return _supported(values[origin][0] or 0.0, values)
    # eco2AI's table and PassMark's list are not independent for old parts: together they have one vote.
    voters = [values["codecarbon"], values["eco2ai"] or values["ecotrace:passmark"]]
    given = [value for voter in voters for value in voter if value is not None]
    if all(close(given[0], value) for value in given[1:]) if given else False:
        return _supported(given[0], values)
    backed = sorted({one for one in given if all(any(close(one, other or 0.0) for other in voter) for voter in voters)})
    if backed and close(backed[0], backed[-1]) and all(voters):
        return _supported(backed[0], values)
    return None


def _supported(value: float, values: Mapping[str, list[float | None]]) -> tuple[float, list[str]]:
    return value, [origin for origin in ORIGINS if any(close(value, other or 0.0) for other in values[origin])]


def first(facts: Iterable[Fact], field: str) -> int | None:
    """Return a field's value from the most trusted origin that has it."""
    for fact in sorted(facts, key=lambda fact: ORIGINS.index(fact.origin)):
        value: int | None = getattr(fact, field)
        if value is not None:
            return value
    return None


def known_cores() -> dict[str, tuple[int, int]]:
    """Return cores and threads by designation, from the list kept by hand."""
    known: dict[str, tuple[int, int]] = {}
    for row in rows(HERE / "cores.csv"):
        for model in row["models"].split():
            known[designation(f"{row['line']} {model.replace('|', ' ')}")] = (int(row["cores"]), int(row["threads"]))
    return known


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    key: str
    name: str
    tdp_w: float
    cores: int | None
    threads: int | None
    year: int | None
    source: str

    def __str__(self) -> str:
        cells = (self.key, self.name, f"{self.tdp_w:g}", self.cores, self.threads, self.year, self.source)
        return "\t".join("" if cell is None else str(cell) for cell in cells)


def best_name(facts: list[Fact]) -> str:
    """Return the name to show for a model: the shortest of its origins', with the maker where one has it."""
    names = sorted({_shown(fact.name) for fact in facts}, key=lambda name: (len(name), name))
    makers = [name for name in names if re.match(r"Intel |AMD |Apple |Hygon ", name)]
    return (makers or names)[0]


def _shown(name: str) -> str:
    name = re.sub(r"\([^)]*\)|@.*|[™®\u200b]|\bProcessor\b|\bAPU\b|\bwith\b.*|\b\w+-Core\b|\d+th Gen", " ", name)
    name = " ".join(name.split())
    return re.sub(r"^AMD AMD ", "AMD ", name) if re.match(r"Intel |AMD |Apple |Hygon |Snap", name) else f"AMD {name}"


def build() -> tuple[list[Row], list[str]]:
    """Return the table's rows, sorted, and a report of what was resolved or left out, one line each."""
    report: list[str] = []
    table: dict[str, Row] = {}
    cores = known_cores()
    groups = grouped(raw_facts())
    hand = {designation(row["name"]): row for row in rows(HERE / "by_hand.csv")}
    overrides = {designation(row["name"]): row for row in rows(HERE / "overrides.csv")}
    for key in sorted(set(groups) | set(hand) | set(overrides)):
        facts = groups.get(key, [])
        said = ", ".join(sorted({f"{fact.origin} {fact.tdp_w:g} W" for fact in facts}))
        kept = overrides.get(key) or hand.get(key)
        if kept is not None:
            tdp_w, origins = number(kept["tdp_w"]), [kept["source"]]
            if tdp_w is None:
                report.append(f"left out by hand: {key} ({said}): {kept['source']}")
                continue
            if key in overrides:
                report.append(f"overridden: {key} {tdp_w:g} W ({said}): {kept['source']}")
        else:
            resolved = resolve(facts)
            if resolved is None:
                report.append(f"left out, origins disagree: {key} ({said})")
                continue
            tdp_w, origins = resolved
            if not all(close(tdp_w, fact.tdp_w or 0.0) for fact in facts):
                report.append(f"resolved: {key} {tdp_w:g} W ({said})")
        n_cores, n_threads = cores.get(key, (first(facts, "cores"), first(facts, "threads")))
        n_year = first(facts, "year")
        if kept is not None:
            n_cores, n_threads = integer(kept["cores"]) or n_cores, integer(kept["threads"]) or n_threads
            n_year = integer(kept["year"]) or n_year
        if n_cores and n_threads and not n_cores <= n_threads <= 4 * n_cores:
            report.append(f"cores and threads left out: {key} ({n_cores}, {n_threads})")
            n_cores = n_threads = None
        name = kept["name"] if kept is not None else best_name(facts)
        table[key] = Row(key, name, tdp_w, n_cores, n_threads, n_year, "; ".join(origins))
    return list(table.values()), report


def text() -> str:
    """Return the table's whole content."""
    return HEADER + "".join(f"{row}\n" for row in build()[0])


if __name__ == "__main__":
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(text(), encoding="utf-8", newline="\n")
    lines = build()[1]
    print(f"{TABLE}: {len(build()[0])} models; {len(lines)} remarks")
    if "--report" in sys.argv:
        print("\n".join(lines))
