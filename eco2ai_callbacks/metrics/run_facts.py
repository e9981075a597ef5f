"""What a logger's configuration holds of a run, so that its curves can be understood without the run log."""

from __future__ import annotations

from collections.abc import Mapping

from eco2ai_callbacks.metrics.scalars import PREFIX
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.usage import Method, component_of

# Short texts and numbers, by the names that loggers show.
Facts = Mapping[str, str | float]


def facts_of(start: Record, methods: Mapping[str, Method]) -> dict[str, str | float]:
    """Return the place, carbon intensity, methods, bands and version of a run; what is not known is left out.

    Args:
        start: What all records of the session have in common.
        methods: Measuring method of each channel.
    """
    grid = start.intensity or {}
    found: dict[str, str | float | None] = {
        "run": start.run,
        "version": start.version,
        "region": _in_brackets(grid.get("region"), grid.get("name"), _how(grid.get("found_by"))),
        "intensity_g_per_kwh": grid.get("g_per_kwh"),
        "intensity_source": _in_brackets(grid.get("dataset"), grid.get("year"), grid.get("kind")),
        "intensity_band_g_per_kwh": _band(grid.get("low"), grid.get("high")),
        "pue": start.pue if grid else None,
        "method": "; ".join(dict.fromkeys(f"{component_of(c)} {_method(m)}" for c, m in methods.items())),
        "band": "; ".join(dict.fromkeys(f"{m.name} x {m.low:g} to {m.high:g}" for m in methods.values())),
        "not_covered": "; ".join(start.not_covered),
    }
    return {f"{PREFIX}{name}": value for name, value in found.items() if value is not None and value != ""}


def _how(found_by: object) -> str:
    return "place unknown" if found_by == "unknown" else f"by {found_by}" if found_by else ""


def _method(method: Method) -> str:
    return f"{method.name} ({'measured' if method.measured else 'estimated'}, {method.attribution})"


def _in_brackets(first: object, *more: object) -> str:
    rest = ", ".join(str(each) for each in more if each)
    return f"{first or ''}{f' ({rest})' if rest else ''}".strip()


def _band(low: object, high: object) -> str:
    known = isinstance(low, float | int) and isinstance(high, float | int) and low != high
    return f"{low:.4g} to {high:.4g}" if known else ""
