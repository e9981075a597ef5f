"""The charts of a report in one picture: PNG, SVG or PDF."""

from __future__ import annotations

import json

import altair as alt
import vl_convert

from eco2ai_callbacks.report.charts import charts
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.theme import LIGHT, specification

KINDS = ("png", "svg", "pdf")
# Pixels of a chart's width, and pixels of a PNG for each.
_WIDTH, _SCALE = 640, 2.0


def picture(runs: Runs, kind: str) -> bytes:
    """Return the charts one below the other.

    Args:
        runs: The runs.
        kind: One of :data:`KINDS`.

    Raises:
        ValueError: The runs have no figures.
    """
    drawn = charts(runs)
    if not drawn:
        raise ValueError("there is nothing to draw: the logs hold no energy")
    specs = [specification(each.chart, each.height, LIGHT, _WIDTH) | {"title": each.title} for each in drawn]
    config = specs[0]["config"] | {"background": LIGHT["paper"]}
    parts = [
        {key: value for key, value in spec.items() if key not in ("config", "$schema", "autosize")} for spec in specs
    ]
    # Charts of their own scales and legends, whose data keep their own names.
    for number, part in enumerate(parts):
        part["name"] = f"chart_{number}"
    whole = {
        "$schema": specs[0]["$schema"],
        "vconcat": parts,
        "spacing": 48,
        "padding": 24,
        "config": config,
        "resolve": {"scale": {"color": "independent", "x": "independent", "y": "independent"}},
    }
    text = json.dumps(whole)
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    if kind == "png":
        return bytes(vl_convert.vegalite_to_png(text, vl_version=version, scale=_SCALE))
    if kind == "pdf":
        return bytes(vl_convert.vegalite_to_pdf(text, vl_version=version))
    return str(vl_convert.vegalite_to_svg(text, vl_version=version)).encode()
