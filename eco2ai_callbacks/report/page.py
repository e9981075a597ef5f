"""One self-contained HTML page of a report: no network, no server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from eco2ai_callbacks.host.gpu_health import GpuHealth
from eco2ai_callbacks.report import series
from eco2ai_callbacks.report.charts import charts
from eco2ai_callbacks.report.equivalents import equivalents
from eco2ai_callbacks.report.formats import HEAD, shown, spelt
from eco2ai_callbacks.report.groups import grouped, notes
from eco2ai_callbacks.report.runs import Run, Runs
from eco2ai_callbacks.report.stated import Factor
from eco2ai_callbacks.report.theme import DARK, LIGHT, PAGE, specification
from eco2ai_callbacks.sinks.console import amount, duration

_TEMPLATE = Path(__file__).parent / "data" / "page.html"
# Rows of the table of runs, and runs whose sources are listed.
_MOST_RUNS, _MOST_DETAILS = 500, 12
_MOST_NOTES = 60
_MOST_GPUS = 16
_COLUMNS = tuple(name.replace("CO2e", "CO₂e") for name in HEAD)


def page(runs: Runs) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.globals |= {"amount": amount}
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    drawn = charts(runs)
    specs = {each.id: specification(each.chart, each.height, PAGE) for each in drawn}
    whole = runs.sum
    table = grouped(runs, "run")
    co2 = whole.co2_kg
    # A column that no run has a figure for is left out.
    shown_rows = [spelt(row.sum) for row in table.rows[:_MOST_RUNS]]
    columns = [any(row[place] for row in shown_rows) for place in range(len(_COLUMNS))]
    detailed = series.largest(runs, _MOST_DETAILS)
    text: str = template.render(
        title=_title(runs),
        logs=[shown(name, 120) for name in runs.logs],
        records=runs.records,
        figures=_figures(runs),
        drawn=drawn,
        sections={each.section for each in drawn},
        runs=[
            {
                "id": shown(row.keys[0], 40),
                "name": _name(run),
                "cells": [cell for cell, kept in zip(spelt(row.sum), columns, strict=True) if kept],
                "note": shown(row.note, 200),
                "counts": row.counts,
            }
            for row, run in zip(table.rows[:_MOST_RUNS], runs.runs[:_MOST_RUNS], strict=True)
        ],
        more_runs=max(0, len(runs) - _MOST_RUNS),
        total=[cell for cell, kept in zip(spelt(whole), columns, strict=True) if kept],
        columns=[name for name, kept in zip(_COLUMNS, columns, strict=True) if kept],
        details=[_detail(run) for run in detailed],
        more_details=len(runs) - len(detailed),
        notes=[shown(note, 400) for note in notes(runs)][:_MOST_NOTES],
        factors=[_factor(factor) for factor in dict.fromkeys(factor for run in runs for factor in run.factors)][
            :_MOST_DETAILS
        ],
        equivalents=[] if co2 is None else [(_rounded(each.amount), each) for each in equivalents(co2)],
        co2="" if co2 is None else amount(co2 * 1000, "g"),
        light=LIGHT,
        dark=DARK,
        # Safe inside of a script: nothing there can end it.
        specs=Markup(_in_script(json.dumps(specs, separators=(",", ":")))),
        bundle=Markup(_in_script_code(vl_convert.javascript_bundle())),
    )
    return text


def _in_script(text: str) -> str:
    """Return JSON with no character that ends a script or a line of one."""
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _in_script_code(code: str) -> str:
    """Return code whose texts cannot end the script that holds it."""
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _title(runs: Runs) -> str:
    if len(runs) == 1:
        return f"Energy and CO₂e of {_name(runs.runs[0])}"
    projects = list(dict.fromkeys(run.project for run in runs if run.project))
    of = f" of {shown(projects[0], 60)}" if len(projects) == 1 else ""
    return f"Energy and CO₂e of {len(runs)} runs{of}"


def _name(run: Run) -> str:
    return shown(run.description or run.project or run.id, 80)


def _figures(runs: Runs) -> list[dict[str, Any]]:
    """Return the figures at the top, each with its band as a line below it."""
    whole = runs.sum
    energy, co2, power, cost, share = whole.energy_kwh, whole.co2_kg, whole.power_w, whole.cost, whole.measured_share
    found: list[dict[str, Any]] = []
    if energy is not None:
        found.append(_banded("IT energy", energy * 1000, whole.energy_band_kwh, "Wh"))
    if co2 is not None:
        found.append(_banded("CO₂e", co2 * 1000, whole.co2_band_kg, "g"))
    epochs = sum(len(run.epochs) for run in runs)
    parts = (_counted(len(runs), "run"), _counted(epochs, "epoch") if epochs else "")
    text = ", ".join(part for part in parts if part)
    found.append({"name": "Time measured", "value": duration(whole.seconds, minutes_from=60.0), "text": text})
    if power is not None:
        found.append({"name": "Mean power", "value": amount(power, "W"), "text": "energy over that time"})
    if cost is not None:
        found.append({"name": "Cost", "value": f"{cost:.3g}", "text": "in the currency of the price"})
    if share is not None:
        text = "of the energy comes from hardware counters"
        found.append({"name": "Measured", "value": f"{share:.0%}", "text": text, "share": round(100 * share, 1)})
    return found


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def _banded(name: str, value: float, band: tuple[float, float] | None, unit: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "value": amount(value, unit)}
    if band is not None:
        low, high = band[0] * 1000, band[1] * 1000
        found["text"] = f"between {amount(low, unit)} and {amount(high, unit)}"
        top = max(high, value) or 1.0
        found["band"] = tuple(round(100 * edge / top, 1) for edge in (low, value, high))
    return found


def _detail(run: Run) -> dict[str, Any]:
    used: dict[str, list[tuple[str, float, float, float]]] = {}
    for (channel, method), part in run.sum.parts.items():
        used.setdefault(channel, []).append((method, part.joules, part.low, part.high))
    rows = [
        {
            "channel": shown(channel, 40),
            "method": shown(method, 40),
            "measured": method in run.hardware,
            "energy": amount(joules / 3600, "Wh"),
            "band": f"{amount(low / 3600, 'Wh')} to {amount(high / 3600, 'Wh')}",
            "whose": shown(run.attribution.get(channel, ""), 80),
        }
        for channel, methods in used.items()
        for method, joules, low, high in methods
    ]
    times = " to ".join(f"{time:%Y-%m-%d %H:%M}" for time in (run.started, run.ended) if time is not None)
    return {
        **{"name": _name(run), "id": shown(run.id, 40), "rows": rows[:40], "times": times},
        **{"state": " and ".join(map(shown, run.states)), "ranks": run.said, "hosts": len(run.hosts)},
        "gpus": [
            _gpu(uuid, run.devices.get(uuid, ""), health) for uuid, health in list(run.gpu_health.items())[:_MOST_GPUS]
        ],
        "unused": [f"{shown(name, 40)}: {shown(reason, 200)}" for name, reason in run.unused[:12]],
        "not_covered": [shown(name, 120) for name in run.not_covered[:12]],
        "failures": [shown(failure, 300) for failure in run.failures[:12]],
        "versions": ", ".join(shown(version, 40) for version in run.versions[:4]),
        "shared": len(run.shared_with),
    }


def _gpu(uuid: str, model: str, health: GpuHealth) -> dict[str, Any]:
    """Return the state of a GPU for the table; a value that its driver does not report is empty."""
    clock, most, idle_j = health.clock_mhz, health.max_clock_mhz, health.idle_j
    reasons = ", ".join(f"{shown(reason, 40)} {share:.0%}" for reason, share in list(health.throttle.items())[:8])
    cells = (
        _share(health.busy),
        _share(health.memory_busy),
        "" if clock is None else f"{clock:.0f}{'' if most is None else f' of {most:.0f}'} MHz",
        "" if health.temperature_c is None else f"{health.temperature_c:.0f} °C",
        "" if health.hottest_c is None else f"{health.hottest_c:.0f} °C",
        "" if health.power_limit_w is None else amount(health.power_limit_w, "W"),
        _share(health.throttled) + (f" ({reasons})" if reasons else ""),
        _share(health.idle) + ("" if idle_j is None else f", {amount(idle_j / 3600, 'Wh')}"),
    )
    return {"name": f"GPU {health.index}", "title": shown(f"{model} {uuid}".strip(), 120), "cells": cells}


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _factor(factor: Factor) -> dict[str, str]:
    value = "" if factor.g_per_kwh is None else f"{factor.g_per_kwh:.4g} g/kWh"
    found = {"unknown": "place unknown"}.get(factor.found_by, f"found by {factor.found_by}" if factor.found_by else "")
    parts = (
        factor.kind,
        str(factor.year or ""),
        factor.dataset,
        found,
        f"PUE {factor.pue:g}" if factor.pue != 1 else "",
    )
    return {
        "name": shown(factor.name or factor.region or "a place without a name", 60),
        "value": value,
        "text": ", ".join(shown(part, 120) for part in parts if part),
    }


def _rounded(value: float) -> str:
    """Return a number of things with two digits: an equivalent is no measurement."""
    if value >= 1000:
        return f"{float(f'{value:.2g}'):,.0f}"
    return f"{value:.2g}" if value >= 0.001 or value == 0 else "less than 0.001"
