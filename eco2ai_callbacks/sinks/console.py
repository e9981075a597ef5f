"""Print one line after a run, and one at the first forecast of the whole run."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from eco2ai_callbacks.host.gpu_health import GpuHealth, Health, mean_over, stated
from eco2ai_callbacks.phases.shares import Phases
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.usage import GRAMS_PER_KG, JOULES_PER_KWH

_WH_PER_KWH = 1000.0
# The methods that read hardware, in records of versions that did not write which these are.
_EARLY_MEASURED = frozenset({"rapl", "nvml-energy", "nvml-power"})
# Back to the line's begin, and erase it: ECMA-48's control function EL.
_ERASE = "\r\033[K"
# Waiting for data is named from this share of a run on, and from so many seconds on: what less of it costs, a person
# does not look for.
_WAITED_SHARE, _WAITED_S = 0.1, 1.0
# A GPU's state is named from so many seconds on, and from this share of them on: any fit idles at its start, and any
# clock is lower for a moment now and then.
_LOOKED_S, _THROTTLED_SHARE, _IDLE_SHARE = 10.0, 0.1, 0.2
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"))


class Console:
    """A stream on which a run's line is printed when its ``stop`` arrives, and its first forecast.

    Args:
        stream: The stream; standard error by default, so that a script's own output stays what it is.
        log: The run log, which is named where it is not in the folder that the program was started in.
        environ: The environment, in which the shell has left that folder.
    """

    name = "console"

    def __init__(
        self, stream: TextIO | None = None, log: Path | None = None, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._stream = stream
        self._log = log if log is not None and not _in_launch_folder(log, environ) else None
        self._start: Record | None = None
        self._forecast = False

    def write(self, record: Record) -> None:
        """Keep the ``start`` record, and print at the first forecast and at the end."""
        if record.event == "start":
            self._start = record
        elif record.event == "stop":
            self._print(line(record, self._start, self._log))
        elif record.event == "forecast" and not self._forecast:
            self._forecast = True
            self._print(forecast_line(record))

    def close(self) -> None:
        """Do nothing: the stream belongs to the program."""

    def _print(self, text: str) -> None:
        stream = self._stream or sys.stderr
        with _no_bar(stream) as erase:
            print(f"{erase}{text}", file=stream, flush=True)


@contextmanager
def _no_bar(stream: TextIO) -> Iterator[str]:
    """Clear progress bars while a line is printed, and return what to print before it.

    tqdm clears its bars itself and draws them again. Another bar, such as Keras's, leaves the cursor behind it, on a
    terminal; it draws the whole line again at its next step.
    """
    bars: Any = getattr(sys.modules.get("tqdm.std"), "tqdm", None)
    if getattr(bars, "_instances", None):
        with bars.external_write_mode(file=stream):
            yield ""
    else:
        yield _ERASE if stream.isatty() and os.environ.get("TERM") != "dumb" and os.name != "nt" else ""


def _in_launch_folder(log: Path, environ: Mapping[str, str]) -> bool:
    """Return whether a log is in the folder that the program was started in, which it may have left since.

    The shell leaves that folder in ``PWD``; without it, it is the present one.
    """
    return log.parent.resolve() == Path(environ.get("PWD") or Path.cwd()).resolve()


def line(stop: Record, start: Record | None = None, log: Path | None = None) -> str:
    """Return what a run used, by which methods and with which bands, as one line.

    Args:
        stop: The run's ``stop`` record.
        start: The ``start`` record of the same session, with its sources and what the run had used before.
        log: The run log, where it is to be named.
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
            _cost(total),
            duration(seconds),
            f"{amount(energy * JOULES_PER_KWH / seconds, 'W')} mean" if seconds > 0 else "",
            _ranks(stop),
        ]
    groups = [", ".join(part for part in parts if part), *_methods(sources), _grid(stop)]
    if waiting := _waiting(stop.phases or {}):
        groups.append(waiting)
    groups += [_above_idle(stop, before is not None), *gpu_sentences(stated(stop.gpu_health))]
    if before is not None:
        groups.append(f"resumed: {amount(before * _WH_PER_KWH, 'Wh')} of it before")
    if stop.not_covered:
        groups.append(f"not covered: {', '.join(stop.not_covered)}")
    if stop.failures:
        groups.append(f"failed: {'; '.join(stop.failures)}")
    if stop.ended not in (None, "finished"):
        groups.append(str(stop.ended))
    if log is not None:
        groups.append(f"log: {log}")
    return " | ".join(group for group in groups if group)


def forecast_line(record: Record) -> str:
    """Return what the whole run is expected to use, as one line.

    Args:
        record: A ``forecast`` record.
    """
    found = record.metrics or {}
    low, high = found["seconds_band"]
    time = f"{duration(found['seconds'])} ({duration(low)} to {duration(high)})"
    epochs = f"{found['epochs']} epoch{'s' if found['epochs'] != 1 else ''}"
    part = f"{min(1.0, found['done'] / found['planned']):.0%} of it"
    after = f"{epochs} ({part})" if found["epochs"] else part
    return f"eco2ai: forecast of the whole run after {after}: " + ", ".join(
        text for text in (_figures(found), time) if text
    )


def duration(seconds: float, minutes_from: float = 100.0) -> str:
    """Return seconds in units that fit their size: ``8.2 s``, ``3 min 20 s``, ``2 h 05 min``.

    Args:
        seconds: The seconds.
        minutes_from: Seconds from which on minutes are given.
    """
    if seconds < minutes_from:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def amount(value: float, unit: str) -> str:
    """Return a figure with three digits and a prefix that fits its size: ``12.3 mWh``, ``1.5 kg``, ``2 t``."""
    if value == 0:
        return f"0 {unit}"
    value = float(f"{value:.3g}")  # rounded first: 999.6 Wh are 1 kWh
    factor, prefix = next((p for p in _PREFIXES if abs(value) >= p[0]), _PREFIXES[-1])
    return f"{value / factor:.4g} {prefix}{unit}".replace(" Gg", " kt").replace(" Mg", " t")


def _figures(found: Mapping[str, Any]) -> str:
    """Return energy and CO2e with their bands; what was not measured is left out."""
    energy, co2 = found.get("energy_kwh"), found.get("co2_kg")
    figures = (
        "" if energy is None else _banded(energy, found.get("energy_band_kwh"), "Wh", _WH_PER_KWH),
        "" if co2 is None else f"{_banded(co2, found.get('co2_band_kg'), 'g', GRAMS_PER_KG)} CO2e",
    )
    return ", ".join(figure for figure in figures if figure)


def _cost(found: Mapping[str, Any]) -> str:
    """Return the cost, in the currency of the price, which has no name here; empty without a price."""
    cost = found.get("cost")
    return "" if cost is None else f"cost {cost:.3g}"


def _waiting(phases: Phases) -> str:
    """Return how much of a run passed while it waited for data; empty where that is little."""
    whole = math.fsum(seconds for seconds, _ in phases.values())
    waited, joules = phases.get("data", (0.0, 0.0))
    if waited < _WAITED_S or waited < _WAITED_SHARE * whole:
        return ""
    used = math.fsum(each for _, each in phases.values())
    energy = f" and {joules / used:.0%} of the energy" if used > 0 else ""
    return f"{waited / whole:.0%} of the time{energy} while waiting for data: more workers?"


def _above_idle(stop: Record, resumed: bool) -> str:
    """Return the energy of this session above that of the waiting machine; empty where that was not measured."""
    above_kwh, baseline = stop.beside.get("above_idle_kwh"), (stop.basis or {}).get("baseline")
    if above_kwh is None or baseline is None:
        return ""
    idle_w = math.fsum(baseline["watts"].values())
    whose = f" in rank {stop.rank}" if stop.world_size > 1 else ""
    return (
        f"{amount(above_kwh * _WH_PER_KWH, 'Wh')} of it above idle ({amount(idle_w, 'W')}){whose}"
        f"{' since it was resumed' if resumed else ''}"
    )


def gpu_sentences(health: Health) -> list[str]:
    """Return what a person should know of the state of GPUs, where they were slowed down or idle for long.

    Args:
        health: Their state, by UUID.
    """
    looked = [each for each in health.values() if each.seconds >= _LOOKED_S]
    slow = [each for each in looked if (each.throttled or 0.0) >= _THROTTLED_SHARE]
    idle = [each for each in looked if (each.idle or 0.0) >= _IDLE_SHARE]
    found = []
    if slow:
        reasons = {name: max(each.throttle.get(name, 0.0) for each in slow) for gpu in slow for name in gpu.throttle}
        largest = sorted(reasons, key=lambda name: reasons[name], reverse=True)
        shown = ", ".join(name for name in largest if reasons[name] >= _THROTTLED_SHARE)
        why = f" ({shown})" if shown else ""
        found.append(f"{_named(slow)}: throttled {mean_over(slow, 'throttled'):.0%} of the time{why}")
    if idle:
        joules = [each.idle_j for each in idle if each.idle_j is not None]
        energy = f", {amount(math.fsum(joules) * _WH_PER_KWH / JOULES_PER_KWH, 'Wh')}" if joules else ""
        found.append(f"{_named(idle)}: idle {mean_over(idle, 'idle'):.0%} of the time{energy}")
    return found


def _named(gpus: Sequence[GpuHealth]) -> str:
    *others, last = (str(each.index) for each in sorted(gpus, key=lambda gpu: gpu.index))
    return f"GPUs {', '.join(others)} and {last}" if others else f"GPU {last}"


def _ranks(stop: Record) -> str:
    """Return how many ranks the figures include; empty where the run has only one."""
    included = (stop.total or {}).get("ranks")
    if included is None:
        return f"rank {stop.rank} of {stop.world_size} alone" if stop.world_size > 1 else ""
    return f"{included} ranks" if included >= stop.world_size else f"{included} of {stop.world_size} ranks"


def _banded(value: float, band: Sequence[float] | None, unit: str, factor: float) -> str:
    shown = amount(value * factor, unit)
    if not band:
        return shown
    return f"{shown} ({amount(band[0] * factor, unit)} to {amount(band[1] * factor, unit)})"


def _methods(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return which components are measured, which are estimated, and which sources could not be read."""
    measured: list[str] = []
    estimated: list[str] = []
    unread: list[str] = []
    for source in sources:
        if not source["used"]:
            if source.get("status") != "displaced":  # another source takes its place
                unread.append(f"{source['name']} ({source['reason']})")
            continue
        components = "+".join(source["covers"])
        for method in sorted(set((source["methods"] or {}).values())):
            from_hardware = method in source.get("measured", _EARLY_MEASURED)
            (measured if from_hardware else estimated).append(f"{components} by {method}")
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
