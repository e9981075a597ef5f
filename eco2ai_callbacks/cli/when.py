"""``eco2ai when``: when a job would cause the least CO2e, by a forecast."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from eco2ai_callbacks.carbon.hours_file import read_hours
from eco2ai_callbacks.carbon.series import MARGINAL, Series
from eco2ai_callbacks.carbon.window import Window, best, windows
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.settings import Settings, resolve, spelled

# A year: no figures reach further.
_LONGEST_S = 366 * 86_400.0
_UNITS = {"": 3600.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def _seconds(_context: click.Context, _option: click.Parameter, text: str) -> float:
    """Return a duration in seconds: a number of hours, or one with its unit."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(min|h|d|)", text.strip())
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 0 < seconds <= _LONGEST_S:
        raise click.BadParameter(f"{text!r} is no duration; accepted are hours, or numbers like 90min, 48h and 2d")
    return seconds


@click.command()
@click.option("--hours", required=True, callback=_seconds, metavar="LENGTH", help="How long the job runs, in hours.")
@click.option(
    "--within", default="48h", show_default=True, callback=_seconds, metavar="TIME", help="By when it must have ended."
)
@click.option("--kwh", type=click.FloatRange(min=0, min_open=True), help="Energy of the job, to show kg CO2e.")
@click.option("--region", metavar="PLACE", help="Where it runs.")
@click.option("--intensity", metavar="SOURCE", help="A file of hours, or a live source such as live:electricitymaps.")
def when(hours: float, within: float, kwh: float | None, region: str | None, intensity: str | None) -> None:
    """Show when a job of LENGTH hours would cause the least CO2e, and how much that saves against a start now.

    Nothing is delayed or started: the command shows a time. The figures come from --intensity, else from the setting of
    that name: a file of hours that lie ahead, or a live source with a forecast. Marginal figures may be used here.

    \b
    Examples:
      eco2ai when --hours 6 --within 48h --region GB --intensity live:carbon-intensity-gb
      eco2ai when --hours 90min --within 1d --intensity tomorrow.csv --kwh 12
    """
    given = {name: spelled(text) for name, text in (("region", region), ("intensity", intensity)) if text is not None}
    try:
        series = _figures(resolve(given))
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    if hours > within:
        raise click.UsageError("--hours is longer than --within: the job cannot end in time")
    now_s = time.time()
    found = windows(series, hours, now_s, now_s + within)
    if not found:
        raise click.ClickException(
            f"{series.source} has no figures without a gap for {hours / 3600:g} h between {_time(now_s)} and "
            f"{_time(now_s + within)}"
        )
    for line in _shown(series, found, now_s, kwh):
        click.echo(line)


def _figures(settings: Settings) -> Series:
    """Return the figures ahead.

    Raises:
        SettingsError: There are none.
    """
    asked = settings.intensity
    if asked is None or callable(asked):
        raise SettingsError("'eco2ai when' needs figures of the hours ahead: give --intensity a file or a live source")
    if not str(asked).startswith("live:"):
        return read_hours(Path(asked), settings.region, settings.intensity_kind)
    # Opt-in: what opens sockets is imported only where a live source is named.
    from eco2ai_callbacks.carbon.live.sources import forecast

    return forecast(str(asked), settings.region, settings.intensity_kind)


def _shown(series: Series, found: list[Window], now_s: float, kwh: float | None) -> Iterator[str]:
    chosen = best(found)
    yield f"start at {_time(chosen.begin_s)}: {_amount(chosen, kwh)}"
    now = found[0] if found[0].begin_s == now_s else None
    if now is None:
        yield "start now: not known, for the figures have a gap"
    elif chosen is now or now.g_per_kwh == 0:
        yield "a start now is as good as any"
    else:
        saved = 1 - chosen.g_per_kwh / now.g_per_kwh
        more = f", {(now.g_per_kwh - chosen.g_per_kwh) * kwh / 1000:.3g} kg" if kwh is not None else ""
        yield f"start now: {_amount(now, kwh)}; waiting saves {saved:.0%}{more}".replace("%", " %")
    marginal = "; marginal figures tell when to run and are no part of a footprint" if series.kind == MARGINAL else ""
    yield f"by {series.source} ({series.kind}){marginal}"


def _amount(window: Window, kwh: float | None) -> str:
    mass = f", {window.g_per_kwh * kwh / 1000:.3g} kg CO2e" if kwh is not None else ""
    return f"{window.g_per_kwh:.0f} g/kWh{mass}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M %z")
