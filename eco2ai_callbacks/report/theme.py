"""Colours, sizes and fonts of charts: a page's, which follow its light or dark scheme, and those of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Okabe and Ito's palette for all kinds of colour vision (https://jfly.uni-koeln.de/color/), with its yellow and its
# black replaced by tones that are legible on white and on black.
LIGHT: Mapping[str, str] = {
    **{"c0": "#0072b2", "c1": "#d55e00", "c2": "#009e73", "c3": "#cc79a7"},
    **{"c4": "#b98900", "c5": "#4aa3d8", "c6": "#7a5cc2", "c7": "#6f7782"},
    **{"ink": "#1c2330", "quiet": "#5b6472", "edge": "#d8dde5", "paper": "#ffffff"},
}
DARK: Mapping[str, str] = {
    **{"c0": "#4aa8ea", "c1": "#ff8a3d", "c2": "#2cc79a", "c3": "#e79ac6"},
    **{"c4": "#e0b02e", "c5": "#8fd0f5", "c6": "#ab92ee", "c7": "#a3abb8"},
    **{"ink": "#e8ecf2", "quiet": "#a0a9b8", "edge": "#323a47", "paper": "#161b22"},
}
# Values of CSS, so that a chart changes with the page.
PAGE: Mapping[str, str] = {name: f"var(--{name})" for name in LIGHT}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
# Keys whose values are data, not colours: a run may be called `c0`.
_DATA = frozenset({"values", "datasets", "domain", "sort", "title", "text"})


def specification(
    chart: Any, height: int, colours: Mapping[str, str], width: int | str = "container"
) -> dict[str, Any]:
    """Return a chart as a Vega-Lite specification.

    Args:
        chart: The chart, with the names of colours.
        height: Its height in pixels.
        colours: The colours by their names.
        width: Its width in pixels, or that of what holds it.
    """
    found: dict[str, Any] = _coloured(chart.properties(width=width, height=height).to_dict(validate=False), colours)
    found["config"] = _config(colours, legend=width != "container")  # a page has its own
    found["autosize"] = {"type": "fit-x" if width == "container" else "pad", "contains": "padding"}
    return found


def _coloured(value: Any, colours: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: each if key in _DATA else _coloured(each, colours) for key, each in value.items()}
    if isinstance(value, list):
        return [_coloured(each, colours) for each in value]
    return colours.get(value, value) if isinstance(value, str) else value


def _config(colours: Mapping[str, str], legend: bool) -> dict[str, Any]:
    return {
        "background": "transparent",
        "font": _FONT,
        "view": {"stroke": None},
        "aria": False,  # the page describes each chart and has its table; a mark for each epoch would be noise
        "axis": {
            **{"labelColor": colours["quiet"], "titleColor": colours["quiet"], "gridColor": colours["edge"]},
            **{"domainColor": colours["edge"], "tickColor": colours["edge"], "labelFontSize": 12, "titleFontSize": 12},
            **{"titleFontWeight": "normal", "titlePadding": 10, "labelPadding": 6, "tickCount": 5},
        },
        "axisX": {"labelFlush": False, "labelOverlap": "greedy", "labelSeparation": 6, "grid": True},
        "axisY": {"titleAnchor": "start", "titleAngle": 0, "titleAlign": "left", "titleY": -14, "titleX": 0},
        "axisTemporal": {"tickCount": 4},
        "legend": {
            **{"disable": not legend, "orient": "bottom", "title": None, "columns": 4, "labelColor": colours["ink"]},
            **{
                "labelFontSize": 12,
                "labelLimit": 220,
                "symbolOpacity": 1,
                "symbolStrokeWidth": 4,
                "symbolType": "square",
            },
        },
        "title": {"color": colours["ink"], "fontSize": 15, "anchor": "start", "offset": 16},
        "text": {"fill": colours["ink"]},
    }
