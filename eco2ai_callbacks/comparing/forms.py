"""Comparisons as text, JSON or Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from eco2ai_callbacks.comparing.comparison import Comparison, percent
from eco2ai_callbacks.comparing.doubts import Side
from eco2ai_callbacks.comparing.spread import LEVEL
from eco2ai_callbacks.comparing.verdict import Compared
from eco2ai_callbacks.report.formats import in_markdown, shown
from eco2ai_callbacks.sinks.console import amount
from eco2ai_callbacks.usage import JOULES_PER_KWH, kwh

FORMATS = ("text", "json", "markdown")
_WH = JOULES_PER_KWH / 1000
# Characters of a group's name in a table.
_WIDEST = 40
IT = "all figures are IT energy, without the overhead of the data centre"


def as_format(found: Compared, form: str) -> str:
    """Return comparisons as a text that ends with a newline.

    Args:
        found: The comparisons.
        form: One of :data:`FORMATS`.
    """
    return {"text": _text, "json": _json, "markdown": _markdown}[form](found)


def spread_of(joules: Sequence[float]) -> str:
    """Return the mean of values and their standard deviation, for people: ``1.2 Wh ± 3 %``; a dash without values."""
    if not joules:
        return "-"
    mean = fmean(joules)
    return amount(mean / _WH, "Wh") + (f" ± {percent(stdev(joules) / mean)} %" if len(joules) > 1 else "")


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines with a head, a rule and rows in columns; the first column is aligned to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return [line.rstrip() for line in (lines[0], "  ".join("-" * width for width in widths), *lines[1:])]


def _columns(found: Compared) -> dict[str, tuple[str, dict[str, Sequence[float]]]]:
    """Return the phrase of each measure, and the joules of each group's runs."""
    columns: dict[str, tuple[str, dict[str, Sequence[float]]]] = {}
    for each in found.comparisons:
        values = columns.setdefault(each.measure, (each.phrase, {}))[1]
        values[each.baseline], values[each.other] = each.before, each.after
    return columns


def _rows(found: Compared, width: int | None) -> list[list[str]]:
    columns = _columns(found)
    head = ["group", "runs", *(shown(phrase) for phrase, _ in columns.values())]
    rows = [
        [
            shown(side.name, width),
            str(len(side.figures)),
            *(spread_of(values[side.name]) for _, values in columns.values()),
        ]
        for side in found.sides
    ]
    return [head, *rows]


def _sentences(found: Compared) -> list[str]:
    """Return one sentence for each comparison; reasons that hold for several are given once."""
    lines: list[str] = []
    last: tuple[str, str, tuple[str, ...]] = ("", "", ())
    for each in found.comparisons:
        key = each.baseline, each.other, each.doubts
        lines.append(each.told("for the same reasons") if each.doubts and key == last else each.sentence)
        last = key
    return lines


def _notes(found: Compared) -> list[str]:
    return [*found.notes, IT]


def _text(found: Compared) -> str:
    sentences = [shown(each) for each in _sentences(found)]
    notes = [f"note: {shown(note)}" for note in _notes(found)]
    return "\n".join([*table(_rows(found, _WIDEST)), "", *sentences, "", *notes]) + "\n"


def _markdown(found: Compared) -> str:
    rows = [[in_markdown(cell) for cell in row] for row in _rows(found, None)]
    rule = [":--", *["--:"] * (len(rows[0]) - 1)]
    lines = [f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:])]
    sentences = [f"- {in_markdown(each)}" for each in _sentences(found)]
    return "\n".join([*lines, "", *sentences, "", *(f"> {in_markdown(note)}  " for note in _notes(found))]) + "\n"


def _json(found: Compared) -> str:
    whole = {
        "groups": [_group(side) for side in found.sides],
        "metric": found.metric,
        "reach": found.reach,
        "lower_is_better": found.lower if found.metric is not None else None,
        "level": LEVEL,
        "comparisons": [_comparison(each) for each in found.comparisons],
        "notes": _notes(found),
    }
    return json.dumps(whole, indent=2) + "\n"


def _group(side: Side) -> dict[str, Any]:
    runs = [
        {
            "run": each.run.id,
            "energy_kwh": None if each.joules is None else kwh(each.joules),
            "epochs": each.epochs,
            "epoch_energy_kwh": None if each.epoch_j is None else kwh(each.epoch_j),
        }
        for each in side.figures
    ]
    return {"name": side.name, "runs": runs}


def _comparison(each: Comparison) -> dict[str, Any]:
    change = each.change
    return {
        "measure": each.measure,
        "phrase": each.phrase,
        "baseline": each.baseline,
        "other": each.other,
        "baseline_kwh": [kwh(value) for value in each.before],
        "other_kwh": [kwh(value) for value in each.after],
        "change": each.value,
        "change_low": None if change is None or not math.isfinite(change.low) else change.low,
        "change_high": None if change is None or not math.isfinite(change.high) else change.high,
        "p": each.p,
        "shown": each.is_shown,
        "cannot_tell": list(each.doubts),
        "sentence": each.sentence,
    }
