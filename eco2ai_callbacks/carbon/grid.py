"""The grid of a run: carbon intensity, PUE and price from the settings and the location, each with its origin."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eco2ai_callbacks.carbon import beside, intensity
from eco2ai_callbacks.carbon.intensity import Intensity
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.usage import Usage, kwh

# Intensity over time and a price are loaded where they are set.
if TYPE_CHECKING:
    from eco2ai_callbacks.carbon.over_time import OverTime
    from eco2ai_callbacks.carbon.price import Price

# Grams of CO2e, and money, of joules that were used in a number of seconds.
CO2eOf = Callable[[float, float], float]
CostOf = Callable[[float, float], float | None]


@dataclass(frozen=True, slots=True)
class Grid:
    """The carbon intensity, PUE and price that a run's energy is converted with.

    Args:
        intensity: Grams of CO2e per kWh, with the place and the source.
        pue: Power usage effectiveness of the data centre.
        pue_source: Source of the PUE.
        price: Price of electricity; ``None`` where the user set none.
        warning: One sentence where the place is unknown or in doubt, or lacks the wanted kind or year; else empty.
        factor: Returns the mean carbon intensity of a period, in g CO2e/kWh, from its start and its seconds;
            ``None`` where ``intensity`` applies at all times.
        over_time: The factors of the setting ``intensity``, with ``intensity`` where they have a gap.
    """

    intensity: Intensity
    pue: float
    pue_source: str
    price: Price | None
    warning: str = ""
    factor: Callable[[datetime, float], float] | None = None
    over_time: OverTime | None = None

    @property
    def spread(self) -> tuple[float, float]:
        """Lower and upper end of the carbon intensity's band, as factors on the intensity that is used."""
        used = self.intensity
        if self.over_time is not None:
            return 1.0, 1.0
        return (used.low / used.g_per_kwh, used.high / used.g_per_kwh) if used.g_per_kwh else (1.0, 1.0)

    def emissions(self, joules: float, start: datetime, seconds: float) -> float:
        """Return the grams of CO2e of IT energy, with the data centre's overhead (PUE).

        Args:
            joules: IT energy in joules.
            start: Start of the period in which it was used.
            seconds: Length of that period.
        """
        factor = self.factor if self.over_time is None else self.over_time.mean
        g_per_kwh = self.intensity.g_per_kwh if factor is None else factor(start, seconds)
        return kwh(joules) * (g_per_kwh * self.pue)

    def facts(self, start: datetime | None = None, usage: Usage | None = None) -> dict[str, Any]:
        """Return the field ``intensity`` of a record.

        Args:
            start: Start of the record's segment; ``None`` for what all records have in common.
            usage: Usage in the segment.
        """
        common = self.intensity.to_dict() | {"pue_source": self.pue_source}
        if self.over_time is None or start is None or usage is None:
            return common
        # A source may have learnt more since the CO2e was computed; a record's figures must fit each other.
        return common | self.over_time.facts(start, usage.seconds, self._used(usage))

    def of_run(self, facts: Mapping[str, Any], total: Usage) -> Mapping[str, Any]:
        """Return the field ``intensity`` of a run's last record, with the mean factor of the whole run."""
        used = self._used(total)
        return facts if self.over_time is None or used is None else {**facts, "g_per_kwh": used}

    def _used(self, usage: Usage) -> float | None:
        """Return the mean factor that a usage's CO2e was computed with; ``None`` where nothing was used."""
        energy, grams = usage.energy_kwh, usage.grams
        return grams / (energy * self.pue) if energy and grams is not None else None

    def cost(self, energy_kwh: float | None, start: datetime, seconds: float) -> float | None:
        """Return the cost of IT energy used from ``start`` on, PUE included; ``None`` without a price."""
        if self.price is None or energy_kwh is None:
            return None
        return self.price.cost(energy_kwh * self.pue, start, seconds)

    def from_label(self, label: Callable[[], datetime]) -> tuple[CO2eOf, CostOf | None]:
        """Return what computes CO2e and cost of joules that were used in the seconds from a label on.

        Args:
            label: Returns the start of the period.

        Returns:
            The two functions; ``None`` for the cost without a price.
        """
        cost = None if self.price is None else lambda joules, seconds: self.cost(kwh(joules), label(), seconds)
        if self.factor is None and self.over_time is None:
            grams_per_kwh = self.intensity.g_per_kwh * self.pue
            return lambda joules, _: kwh(joules) * grams_per_kwh, cost
        return lambda joules, seconds: self.emissions(joules, label(), seconds), cost


def check(settings: Settings) -> None:
    """Check the place, the intensity with its year and kind, market-based figures and the price, before any training.

    Raises:
        SettingsError: One of them is not accepted; the text names it, where it comes from, and the reason.
    """
    with _refused_with_origin(settings, "region", "intensity_kind", "intensity_year"):
        if settings.region is not None:
            _looked_up(settings, settings.region, "setting")
        elif settings.intensity_year is not None and settings.g_per_kwh is None:
            _world(settings)
    with _refused_with_origin(settings, "intensity", "region", "intensity_kind"):
        _over_time(settings, None, Guard())
    with _refused_with_origin(settings, "market_intensity", "market_label"):
        beside.check(settings)
    with _refused_with_origin(settings, "price"):
        _price(settings)


@contextlib.contextmanager
def _refused_with_origin(settings: Settings, *names: str) -> Iterator[None]:
    """Add to an error where the values of these settings come from."""
    try:
        yield
    except SettingsError as error:
        origins = [f"{name} is from {settings.origin.get(name, 'argument')}" for name in names]
        given = [origin for origin in origins if not origin.endswith("is from default")]
        raise SettingsError(f"{error} ({', '.join(given)})") from None


def grid_for(
    settings: Settings,
    environ: Mapping[str, str] | None = None,
    root: Path = Path("/"),
    year: int | None = None,
    guard: Guard | None = None,
) -> Grid:
    """Return the grid that a run's energy is converted with.

    Args:
        settings: The settings in force.
        environ: The environment variables, where a platform may set its region.
        root: Root of the file system, where a platform's files are looked up.
        year: Year of the run; a newer figure is used only where there is no earlier one.
        guard: Records failures.
    """
    guard = guard or Guard()
    place, found_by, doubt = settings.region, _origin(settings), ""
    if place is None:
        environ = os.environ if environ is None else environ
        from eco2ai_callbacks.carbon.location import Place, locate  # where no region is set

        found = guard.call("place", lambda: locate(environ=environ, root=root), Place(None, "unknown", "none"))
        place, found_by, doubt = found.region, found.found_by, found.doubt
    warning = ""
    if settings.g_per_kwh is not None:
        factor = intensity.user(settings.g_per_kwh, region=place or "", found_by=found_by)
    elif place is not None:
        factor, warning = _found(settings, place, found_by, year)
        warning = "; ".join(filter(None, (doubt, warning)))
    else:
        factor = _world(settings)
        warning = (
            f"the place of this machine is not known, so CO2 is counted with the world's average of "
            f"{factor.g_per_kwh:.0f} g/kWh; set region= or ECO2AI_REGION, such as FR, US-CA or aws:eu-west-3"
        )
    pue, source = _pue(settings, place)
    return Grid(factor, pue, source, _price(settings), warning, over_time=_over_time(settings, factor, guard))


def _over_time(settings: Settings, static: Intensity | None, guard: Guard) -> OverTime | None:
    """Return the factors over time; ``None`` where none are set.

    Args:
        settings: The settings in force.
        static: The static figure; the world's where they are only checked.
        guard: Records failures.
    """
    if settings.intensity is None:
        return None
    from eco2ai_callbacks.carbon.over_time import OverTime, known_of

    known = known_of(settings.intensity, settings.region, settings.intensity_kind, guard)
    return OverTime(known, static or intensity.world(), guard)


def _price(settings: Settings) -> Price | None:
    if settings.price is None:
        return None
    from eco2ai_callbacks.carbon.price import Price

    return Price(settings.price)


def _origin(settings: Settings) -> str:
    origin = settings.origin.get("region", "argument")
    return "setting" if origin in ("argument", "default") else f"setting ({origin})"


def _looked_up(settings: Settings, place: str, found_by: str, run_year: int | None = None) -> Intensity:
    return intensity.lookup(
        place, kind=settings.intensity_kind, year=settings.intensity_year, run_year=run_year, found_by=found_by
    )


def _found(settings: Settings, place: str, found_by: str, run_year: int | None) -> tuple[Intensity, str]:
    """Return a place's intensity and a warning; a detected place that lacks the wanted kind or year raises nothing."""
    try:
        return _looked_up(settings, place, found_by, run_year), ""
    except SettingsError as why:
        if settings.region is not None:
            raise
        return intensity.lookup(place, run_year=run_year, found_by=found_by), f"{why}; the best known figure is used"


def _world(settings: Settings) -> Intensity:
    return intensity.world(kind=settings.intensity_kind, year=settings.intensity_year)


def _pue(settings: Settings, place: str | None) -> tuple[float, str]:
    if not isinstance(settings.pue, str):
        origin = settings.origin.get("pue", "argument")
        return settings.pue, "default: no overhead counted" if origin == "default" else f"setting ({origin})"
    from eco2ai_callbacks.carbon.pue import provider_pue  # where the setting asks for a provider's figure

    known = provider_pue(place) if place else None
    if known is None:
        return 1.0, f"no provider's figure is known for {place or 'an unknown place'}: no overhead counted"
    return known.pue, known.source
