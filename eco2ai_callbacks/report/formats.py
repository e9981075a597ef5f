"""A report as a text table, JSON, CSV, Markdown or LaTeX."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eco2ai_callbacks.report.groups import Grouped
from eco2ai_callbacks.report.of_record import BESIDE, WATER
from eco2ai_callbacks.report.sums import Band, Sum, in_turn
from eco2ai_callbacks.sinks.console import amount, duration
from eco2ai_callbacks.usage import GRAMS_PER_KG, Usage

FORMATS = ("text", "json", "csv", "markdown", "latex")
_WH_PER_KWH = 1000.0
# The first characters that make a spreadsheet take a text for a formula (OWASP, CSV Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Characters of a name in a table for people.
_WIDEST = 40
# The columns of figures; those that no row has a figure for are left out.
HEAD = (
    *("energy", "CO2e", "time", "mean power", "cost", "measured"),
    *("water", "embodied CO2e", "market-based CO2e", "at the wall", "above idle"),
)
_LATEX = {
    **{"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "µ": r"\textmu{}"},
}


def as_format(found: Grouped, notes: Sequence[str], name: str) -> str:
    """Return a report as a text that ends with a newline.

    Args:
        found: The sums.
        notes: What a reader must know of them.
        name: One of :data:`FORMATS`.
    """
    writers: Mapping[str, Callable[[Grouped, Sequence[str]], str]] = {
        **{"text": _text, "json": _json, "csv": _csv, "markdown": _markdown, "latex": _latex},
    }
    return writers[name](found, notes)


def shown(value: str, width: int | None = None) -> str:
    """Return a text from a log without what a terminal would carry out or a line would break at.

    Args:
        value: The text.
        width: Characters that are kept.
    """
    plain = "".join(
        "�" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else c for c in value[:10_000]
    )
    return plain if width is None or len(plain) <= width else plain[: width - 1] + "…"


def figures(found: Sum) -> dict[str, Any]:
    """Return the figures of a sum as plain numbers with their units in their names."""
    energy, co2 = found.energy_band_kwh or (None, None), found.co2_band_kg or (None, None)
    return {
        "energy_kwh": found.energy_kwh,
        "energy_low_kwh": energy[0],
        "energy_high_kwh": energy[1],
        "co2_kg": found.co2_kg,
        "co2_low_kg": co2[0],
        "co2_high_kg": co2[1],
        "seconds": found.seconds,
        "power_w": found.power_w,
        "cost": found.cost,
        "measured_share": found.measured_share,
        **{name: found.beside.get(name) for name in BESIDE},
    }


def spelt(found: Sum) -> tuple[str, ...]:
    """Return the figures of a sum for people, in the order of :data:`HEAD`; one that it lacks is empty."""
    power, cost, share, beside = found.power_w, found.cost, found.measured_share, found.beside
    water = [beside[name] for name in WATER if name in beside]
    return (
        banded(found.energy_kwh, found.energy_band_kwh, "Wh", _WH_PER_KWH),
        banded(found.co2_kg, found.co2_band_kg, "g", GRAMS_PER_KG),
        duration(found.seconds, minutes_from=60.0),
        "" if power is None else amount(power, "W"),
        "" if cost is None else f"{cost:.3g}",
        "" if share is None else f"{share:.0%}",
        f"{sum(water):.3g} L" if water else "",
        *(
            amount(beside[name] * factor, unit) if name in beside else ""
            for name, factor, unit in (
                ("embodied_co2_kg", GRAMS_PER_KG, "g"),
                ("market_co2_kg", GRAMS_PER_KG, "g"),
                ("wall_kwh", _WH_PER_KWH, "Wh"),
                ("above_idle_kwh", _WH_PER_KWH, "Wh"),
            )
        ),
    )


def banded(value: float | None, band: Band | None, unit: str, factor: float) -> str:
    """Return a figure with its band: ``1.2 kWh (1.1 to 1.4 kWh)``; a dash where nothing was measured."""
    if value is None:
        return "-"
    whole = amount(value * factor, unit)
    if band is None:
        return whole
    low, high = (amount(edge * factor, unit) for edge in band)
    # A unit that both ends have is named once.
    return f"{whole} ({low.removesuffix(' ' + high.partition(' ')[2])} to {high})"


def mean_of(found: Grouped) -> Sum | None:
    """Return the mean of the rows that are part of the total; ``None`` where there are not two."""
    if found.counted < 2:
        return None
    part = in_turn(row.sum for row in found.rows if row.counts)
    seconds, grams, cost = (
        None if value is None else value / found.counted for value in (part.seconds, part.usage.grams, part.cost)
    )
    joules = {channel: value / found.counted for channel, value in part.joules.items()}
    beside = {name: value / found.counted for name, value in part.beside.items()}
    return Sum(Usage(seconds or 0.0, joules, grams, cost), beside=beside)


def _cells(found: Grouped, wide: int | None) -> tuple[list[str], list[list[str]], list[list[str]]]:
    head = [*found.names, *HEAD, "SCI", "note"]

    def row(keys: Sequence[str], used: Sum, note: str, score: float | None = None) -> list[str]:
        sci = "" if score is None or found.unit is None else f"{amount(score, 'g')}/{shown(found.unit, wide)}"
        said = shown(note, None if wide is None else 2 * wide)
        return [*(shown(key, wide) for key in keys), *spelt(used), sci, said]

    rows = [row(each.keys, each.sum, each.note, each.sci) for each in found.rows]
    empty = ("",) * (len(found.names) - 1)
    mean = mean_of(found)
    last = [row(("total", *empty), found.total, "", found.sci)]
    if mean is not None:
        last.append(row(("mean", *empty), mean, ""))
    kept = [n for n in range(len(head)) if any(each[n] for each in (*rows, *last))]
    head, rows, last = [head[n] for n in kept], *([[each[n] for n in kept] for each in part] for part in (rows, last))
    return head, rows, last


def _width(value: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in value)


def _text(found: Grouped, notes: Sequence[str]) -> str:
    head, rows, last = _cells(found, _WIDEST)
    widths = [max(map(_width, column)) for column in zip(head, *rows, *last, strict=True)]
    left = len(found.names)

    def line(cells: Sequence[str]) -> str:
        padded = []
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            space = " " * (width - _width(cell))
            is_text = place < left or head[place] == "note"
            padded.append(cell + space if is_text else space + cell)
        return "  ".join(padded).rstrip()

    rule = "  ".join("-" * width for width in widths)
    parts = [line(head), rule, *map(line, rows), *([rule] if rows else []), *map(line, last)]
    return "\n".join([*parts, *([""] if notes else []), *(f"note: {shown(note)}" for note in notes)]) + "\n"


def _json(found: Grouped, notes: Sequence[str]) -> str:
    rows = [
        dict(zip(found.names, each.keys, strict=True))
        | figures(each.sum)
        | _score(found, each.sci)
        | {"counts": each.counts, "note": each.note}
        for each in found.rows
    ]
    total = figures(found.total) | _score(found, found.sci)
    unit = {} if found.unit is None else {"sci_unit": found.unit}
    whole = {"by": found.by, **unit, "rows": rows, "total": total, "notes": list(notes)}
    return json.dumps(whole, indent=2) + "\n"


def _score(found: Grouped, value: float | None) -> dict[str, float | None]:
    return {} if found.unit is None else {"sci_g_per_unit": value}


def _csv(found: Grouped, notes: Sequence[str]) -> str:
    del notes  # a line of text is no row
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*found.names, *figures(Sum()), *_score(found, None), "counts", "note"])
    for each in found.rows:
        keys = (no_formula(key) for key in each.keys)
        values = (figures(each.sum) | _score(found, each.sci)).values()
        numbers = ("" if value is None else value for value in values)
        writer.writerow([*keys, *numbers, str(each.counts).lower(), no_formula(each.note)])
    return stream.getvalue()


def no_formula(value: str) -> str:
    """Return a text that a spreadsheet shows and does not compute; a whole number stays one."""
    plain = shown(value)
    return f"'{plain}" if value.startswith(_FORMULA) and not plain.lstrip("-").isdecimal() else plain


def _markdown(found: Grouped, notes: Sequence[str]) -> str:
    head, rows, last = _cells(found, None)
    numbers = len(found.names)
    rule = [":--" if place < numbers or name == "note" else "--:" for place, name in enumerate(head)]
    bold = [[f"**{cell}**" if cell else "" for cell in map(in_markdown, row)] for row in last]
    body = [head, rule, *([in_markdown(cell) for cell in row] for row in rows), *bold]
    table = [f"| {' | '.join(row)} |" for row in body]
    return "\n".join([*table, *([""] if notes else []), *(f"- {in_markdown(note)}" for note in notes)]) + "\n"


def in_markdown(value: str) -> str:
    """Return a text as Markdown that shows it and means nothing else."""
    plain = shown(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "\\|`*_[]#" else c for c in plain)


def _latex(found: Grouped, notes: Sequence[str]) -> str:
    head, rows, last = _cells(found, None)
    numbers = len(found.names)
    columns = "".join("l" if place < numbers or name == "note" else "r" for place, name in enumerate(head))

    def line(cells: Sequence[str]) -> str:
        return f"{' & '.join(map(in_latex, cells))} \\\\"

    body = [line(head), r"\midrule", *map(line, rows), r"\midrule", *map(line, last)]
    table = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(["% \\usepackage{booktabs}", *table, *(f"% {in_latex(note)}" for note in notes)]) + "\n"


def in_latex(value: str) -> str:
    """Return a text as LaTeX that shows it and means nothing else."""
    return "".join(_LATEX.get(c, c) for c in shown(value)).replace("CO2e", r"CO\textsubscript{2}e")
