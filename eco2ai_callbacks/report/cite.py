"""A sentence and a table on the energy of runs, for a paper's appendix."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from eco2ai_callbacks.carbon.intensity import dataset
from eco2ai_callbacks.report.formats import banded, in_latex, in_markdown, shown
from eco2ai_callbacks.report.paper_forms import FORMS, Answer
from eco2ai_callbacks.report.statement import WH_PER_KWH, Statement, listed
from eco2ai_callbacks.sinks.console import duration

FORMATS = ("text", "markdown", "latex", "bibtex")
_DAY = "%Y-%m-%d"


def cited(found: Statement, form: str = "text", answers: str | None = None) -> str:
    """Return what a paper states of runs, as a text that ends with a newline.

    Args:
        found: What is to be said of the runs.
        form: One of :data:`FORMATS`.
        answers: A conference's form, of :data:`eco2ai_callbacks.report.paper_forms.FORMS`: its questions are answered
            in place of the sentence and the table.
    """
    if form == "bibtex":
        return bibliography(found)
    if answers is not None:
        written = _ANSWERS[form]
        return "\n".join(written(answer) for answer in FORMS[answers](found)) + "\n"
    return _WRITERS[form](sentence(found), rows(found), found.limits)


def sentence(found: Statement) -> str:
    """Return the figures of runs as a paragraph.

    Args:
        found: What is to be said of the runs.
    """
    used, count = found.sum, len(found.counted)
    if used.energy_kwh is None:
        return f"Nothing could be measured of {_runs(count)}."
    parts = [f"{_runs(count)} used {found.energy} of electricity in {duration(used.seconds, minutes_from=60.0)}"]
    if found.gpu_hours is not None:
        parts.append(f"{hours(found.gpu_hours)}{f' on {found.hardware}' if found.hardware else ''}")
    if used.co2_kg is not None:
        parts.append(f"and caused {found.co2} of CO2e")
    sentences = [f"{', '.join(parts)}."]
    if used.co2_kg is not None and found.factors:
        pue = f" and a PUE of {found.said_pue}" if found.said_pue else ""
        sentences.append(f"CO2e is location-based, with {found.said_factors}{pue}.")
    if found.methods:
        share = "" if used.measured_share is None else f"; {used.measured_share:.0%} is from hardware counters"
        sentences.append(f"Energy is {found.said_methods}{share}.")
    return " ".join([*sentences, *found.limits, f"Figures are from {listed(found.software)}."])


def rows(found: Statement) -> list[tuple[str, str]]:
    """Return the figures of runs as a table of two columns; what is not known has no row.

    Args:
        found: What is to be said of the runs.
    """
    used = found.sum
    begin, end = (None if each is None else each.strftime(_DAY) for each in (found.started, found.ended))
    share = used.measured_share
    table = {
        "Runs": str(len(found.counted)),
        "Time": " to ".join(dict.fromkeys(each for each in (begin, end) if each)),
        "Duration": duration(used.seconds, minutes_from=60.0),
        "GPU-hours": "" if found.gpu_hours is None else f"{found.gpu_hours:.3g}",
        "GPUs": found.hardware or "",
        "Energy, IT": found.energy,
        "Energy with PUE": "" if found.pue in (None, 1.0) else banded(found.facility_kwh, None, "Wh", WH_PER_KWH),
        "CO2e, with PUE": found.co2,
        "Method": found.said_methods,
        "From hardware counters": "" if share is None else f"{share:.0%} of the energy",
        "Carbon intensity": found.said_factors,
        "Place": listed(found.places),
        "PUE": found.said_pue,
        "Not covered": listed(found.not_covered),
        "Software": listed(found.software),
    }
    return [(name, value) for name, value in table.items() if value and value != "-"]


def bibliography(found: Statement) -> str:
    """Return BibTeX entries of the software and of the datasets of carbon intensities.

    Args:
        found: What is to be said of the runs.
    """
    entries = []
    for name in found.software:
        title, _, version = name.rpartition(" ") if " " in name else (name, "", "")
        entries.append(_entry("software", title or version, {"title": title or name, "version": version}))
    for name in dict.fromkeys(factor.dataset for factor in found.factors):
        try:
            known = dataset(name)
        except StopIteration:  # the user's own figure, or another version's dataset
            continue
        fields = {"title": known.title, "note": f"{known.version}, {known.licence}", "url": known.url}
        entries.append(_entry("misc", name, fields | {"urldate": known.retrieved}))
    return "\n".join(entries)


def hours(value: float) -> str:
    """Return GPU-hours in words."""
    return f"{value:.3g} GPU-hour{'' if value == 1 else 's'}"


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"


def _entry(kind: str, name: str, fields: Mapping[str, str]) -> str:
    key = re.sub(r"\W+", "-", name.lower()).strip("-")
    lines = [
        f"  {field} = {{{value if field == 'url' else in_latex(value)}}}," for field, value in fields.items() if value
    ]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"]) + "\n"


# --- forms of text ----------------------------------------------------------------------------------------------------


def _text(paragraph: str, table: Sequence[tuple[str, str]], limits: Sequence[str]) -> str:
    del limits  # the paragraph has them
    wide = max(len(name) for name, _ in table)
    return "\n".join([shown(paragraph), "", *(f"{name:<{wide}}  {shown(value)}" for name, value in table)]) + "\n"


def _markdown(paragraph: str, table: Sequence[tuple[str, str]], limits: Sequence[str]) -> str:
    del limits
    lines = [f"| {name} | {in_markdown(value)} |" for name, value in table]
    return "\n".join([in_markdown(paragraph), "", "| Figure | Value |", "| :-- | :-- |", *lines]) + "\n"


def _latex(paragraph: str, table: Sequence[tuple[str, str]], limits: Sequence[str]) -> str:
    lines = [f"{in_latex(name)} & {in_latex(value)} \\\\" for name, value in table]
    body = [r"\toprule", *lines, r"\bottomrule", r"\end{tabular}"]
    top = "% \\usepackage{booktabs}"
    caption = rf"\caption{{Energy and CO2e of the runs. {in_latex(' '.join(limits))}}}".replace(
        "CO2e", r"CO\textsubscript{2}e"
    )
    figure = [r"\begin{table}", r"\centering", caption, r"\begin{tabular}{lp{0.7\linewidth}}", *body, r"\end{table}"]
    return "\n".join([top, in_latex(paragraph), "", *figure]) + "\n"


_WRITERS: Mapping[str, Callable[[str, Sequence[tuple[str, str]], Sequence[str]], str]] = {
    **{"text": _text, "markdown": _markdown, "latex": _latex},
}
_ANSWERS: Mapping[str, Callable[[Answer], str]] = {
    "text": lambda each: f"{each.question}\n" + "\n".join(f"  {shown(line)}" for line in each.lines) + "\n",
    "markdown": lambda each: (
        f"**{in_markdown(each.question)}**\n\n" + "\n".join(f"- {in_markdown(line)}" for line in each.lines) + "\n"
    ),
    "latex": lambda each: (
        rf"\paragraph{{{in_latex(each.question)}}} " + "\n".join(in_latex(line) for line in each.lines) + "\n"
    ),
}
