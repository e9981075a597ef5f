"""Energy-Charts (Fraunhofer ISE): quarter-hours of European countries with a forecast, no token.

Documented at https://api.energy-charts.info (``/co2eq``): CO2e of the electricity that a country produces and imports.
It states neither the emission factors nor the country in its reply, so the kind is ``average``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from eco2ai_callbacks.carbon import places
from eco2ai_callbacks.carbon.live.source import Request, Unusable, figure
from eco2ai_callbacks.carbon.series import Span
from eco2ai_callbacks.errors import SettingsError

_QUARTER_S = 900.0


class EnergyCharts:
    """The source for one country.

    Args:
        region: The place; its country counts.
        kind: The kind that is asked for; its figures have none that is known.
        base: Address of the service.

    Raises:
        SettingsError: The place is in no country, or a kind is asked for.
    """

    kind = "average"
    refresh_s: float = 1800.0
    token_names: tuple[str, ...] = ()

    def __init__(self, region: str, kind: str = "best", base: str = "https://api.energy-charts.info") -> None:
        country = places.country_of(places.resolve(region))
        if not country:
            raise SettingsError(f"intensity='live:energy-charts' knows countries, and region={region!r} is in none")
        if kind != "best":
            raise SettingsError(
                f"intensity='live:energy-charts' does not say what its figures include, so no intensity_kind={kind!r} "
                "can be asked for"
            )
        self._country = country
        self._base = base
        self.key: str = f"energy-charts-{country}"
        self.title: str = f"Energy-Charts, {country}"

    def requests(self, now_s: float, token: str, *, forecast: bool) -> Sequence[Request]:
        """Return what to ask for; today and the forecast come together."""
        return [Request(f"{self._base}/co2eq", {"country": self._country.lower()})]

    def spans(self, reply: Any) -> list[Span]:
        """Return the figures: what was, and where that is not known yet the forecast."""
        lists = [reply.get(name) for name in _LISTS] if isinstance(reply, Mapping) else [None]
        if not all(isinstance(found, list) for found in lists) or len({len(found or ()) for found in lists}) > 1:
            raise Unusable(f"its reply has no lists {', '.join(_LISTS)} of one length")
        begins, actual, expected = lists
        moments = [_moment(begin) for begin in begins or ()]
        steps = Counter(later - earlier for earlier, later in pairwise(moments))
        step_s = min(steps, key=lambda step: (-steps[step], step)) if steps else _QUARTER_S
        found = []
        for begin_s, was, forecast in zip(moments, actual or (), expected or (), strict=True):
            g_per_kwh = figure(forecast if was is None else was)
            if g_per_kwh is not None:
                found.append(Span(begin_s, begin_s + step_s, g_per_kwh))
        return found


_LISTS = ("unix_seconds", "co2eq", "co2eq_forecast")


def _moment(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**33:
        raise Unusable(f"its reply has {value!r:.40} where a time belongs")
    return float(value)
