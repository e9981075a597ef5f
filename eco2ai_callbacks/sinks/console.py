"""One line on the console after a run, and one as soon as it is known what the whole run will use."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.usage import GRAMS_PER_KG, JOULES_PER_KWH

_WH_PER_KWH = 1000.0
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"))


class Console:
    """Prints a run's line when its ``stop`` arrives, and its first forecast.

    Args:
        stream: Where to; standard error by default, so that a script's own output stays what it is.
    """

    name = "console"

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._start: Record | None = None
        self._forecast = False

    def write(self, record: Record) -> None:
        """Remember what is measured, and print at the first forecast and at the end."""
        if record.event == "start":
            self._start = record
        elif record.event == "stop":
            self._print(line(record, self._start))
        elif record.event == "forecast" and not self._forecast:
            self._forecast = True
            # On a terminal the cursor may stand behind a progress bar.
            self._print(("\n" if (self._stream or sys.stderr).isatty() else "") + forecast_line(record))

    def _print(self, text: str) -> None:
        print(text, file=self._stream or sys.stderr, flush=True)


def line(stop: Record, start: Record | None = None) -> str:
    """What a run used, how that is known and how sure it is, in one line.

    Args:
        stop: The run's ``stop`` record.
        start: The ``start`` record of the same session, with its sources and what the run had used before.
    """
    sources = start.sources or () if start else ()
    before = (start.total or {}).get("energy_kwh") if start else None
    total = stop.total or {}
    energy, seconds = total.get("energy_kwh"), total.get("seconds") or 0.0
    if energy is None:
        parts = [f"eco2ai: nothing could be measured in {duration(seconds)}"]
    else:
        parts = [
            f"eco2ai: {_figures(total)}",
            duration(seconds),
            f"{amount(energy * JOULES_PER_KWH / seconds, 'W')} mean" if seconds > 0 else "",
            _ranks(stop),
        ]
    said = [", ".join(part for part in parts if part), *_how(sources), _grid(stop)]
    if before is not None:
        said.append(f"resumed: {amount(before * _WH_PER_KWH, 'Wh')} of it before")
    if stop.not_covered:
        said.append(f"not covered: {', '.join(stop.not_covered)}")
    if stop.failures:
        said.append(f"failed: {'; '.join(stop.failures)}")
    if stop.ended not in (None, "finished"):
        said.append(str(stop.ended))
    return " | ".join(part for part in said if part)


def forecast_line(record: Record) -> str:
    """What the whole run is expected to use, in one line.

    Args:
        record: A ``forecast`` record.
    """
    found = record.metrics or {}
    low, high = found["seconds_band"]
    time = f"{duration(found['seconds'])} ({duration(low)} to {duration(high)})"
    epochs = f"{found['epochs']} epoch{'s' if found['epochs'] != 1 else ''}"
    part = min(1.0, found["done"] / found["planned"])
    return f"eco2ai: forecast of the whole run after {epochs} ({part:.0%} of it): " + ", ".join(
        said for said in (_figures(found), time) if said
    )


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``8.2 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def amount(value: float, unit: str) -> str:
    """A figure with three digits and the prefix that keeps it readable: ``12.3 mWh``, ``1.5 kg``, ``2 t``."""
    if value == 0:
        return f"0 {unit}"
    value = float(f"{value:.3g}")  # rounded first: 999.6 Wh are 1 kWh
    factor, prefix = next((p for p in _PREFIXES if abs(value) >= p[0]), _PREFIXES[-1])
    return f"{value / factor:.4g} {prefix}{unit}".replace(" Gg", " kt").replace(" Mg", " t")


def _figures(found: Mapping[str, Any]) -> str:
    """Energy and CO2e with their bands, as far as they are known."""
    energy, co2 = found.get("energy_kwh"), found.get("co2_kg")
    said = (
        "" if energy is None else _banded(energy, found.get("energy_band_kwh"), "Wh", _WH_PER_KWH),
        "" if co2 is None else f"{_banded(co2, found.get('co2_band_kg'), 'g', GRAMS_PER_KG)} CO2e",
    )
    return ", ".join(part for part in said if part)


def _ranks(stop: Record) -> str:
    """How many ranks the figures are of; empty where there is but one."""
    told = (stop.total or {}).get("ranks")
    if told is None:
        return f"rank {stop.rank} of {stop.world_size} alone" if stop.world_size > 1 else ""
    return f"{told} ranks" if told >= stop.world_size else f"{told} of {stop.world_size} ranks"


def _banded(value: float, band: Sequence[float] | None, unit: str, factor: float) -> str:
    shown = amount(value * factor, unit)
    if not band:
        return shown
    return f"{shown} ({amount(band[0] * factor, unit)} to {amount(band[1] * factor, unit)})"


def _how(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    measured: list[str] = []
    estimated: list[str] = []
    unread: list[str] = []
    for source in sources:
        if not source["used"]:
            if not source["reason"].startswith("not "):  # what is not needed is not missed
                unread.append(f"{source['name']} ({source['reason']})")
            continue
        components = "+".join(source["covers"])
        for method in sorted(set((source["methods"] or {}).values())):
            counted = method.startswith(("rapl", "nvml"))
            (measured if counted else estimated).append(f"{components} by {method}")
    groups = (("measured", measured), ("estimated", estimated), ("not read", unread))
    return [f"{title}: {', '.join(items)}" for title, items in groups if items]


def _grid(stop: Record) -> str:
    grid = stop.intensity
    if not grid:
        return ""
    when = f", {grid['year']}" if grid.get("year") else ""
    unknown = "; place unknown, set region=" if grid.get("found_by") == "unknown" else ""
    pue = f", PUE {stop.pue:g}" if stop.pue != 1.0 else ""
    return f"{grid['name']} {grid['g_per_kwh']:.4g} g/kWh ({grid['kind']}{when}{unknown}){pue}"
