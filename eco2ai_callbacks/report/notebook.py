"""Usages and reports as HTML, for notebooks."""

from __future__ import annotations

import html
import importlib
from collections.abc import Sequence

from eco2ai_callbacks.report.formats import HEAD, shown, spelt
from eco2ai_callbacks.report.groups import Group, grouped, notes
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.sums import Sum
from eco2ai_callbacks.sinks.console import amount
from eco2ai_callbacks.usage import Usage

# Rows of a table in a notebook.
_MOST = 50


def usage_html(usage: Usage) -> str:
    """Return a usage as a table: the figures, then the energy of each channel."""
    figures = zip(HEAD, spelt(Sum(usage)), strict=True)
    channels = ((channel, amount(joules / 3600, "Wh")) for channel, joules in usage.joules.items())
    return _table((), [each for each in (*figures, *channels) if each[1]])


def runs_html(runs: Runs) -> str:
    """Return a report as its page in a frame; without the extra ``report``, as a table."""
    try:
        text: str = importlib.import_module("eco2ai_callbacks.report.page").page(runs)
    except ImportError:
        table = grouped(runs, "run")
        cells = [spelt(row.sum) for row in (*table.rows[:_MOST], Group((), table.total))]
        kept = [place for place in range(len(HEAD)) if any(row[place] for row in cells)]
        *figures, total = ([row[place] for place in kept] for row in cells)
        shown_rows = zip(table.rows, figures, strict=False)
        rows = [(*row.keys, *own, row.note) for row, own in shown_rows]
        last = ("total", "", *total, "")
        more = [f"{len(runs) - _MOST} more runs"] if len(runs) > _MOST else []
        said = "".join(f"<li>{_text(note)}</li>" for note in (*more, *notes(runs)))
        return _table((*table.names, *(HEAD[place] for place in kept), "note"), [*rows, last]) + (
            f"<ul>{said}</ul>" if said else ""
        )
    style = "width:100%;height:720px;border:0"
    return f'<iframe title="Report" style="{style}" sandbox="allow-scripts" srcdoc="{html.escape(text)}"></iframe>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    names = "".join(f"<th>{_text(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{names}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def _text(value: str) -> str:
    return html.escape(shown(value))
