"""France's éCO2mix (RTE), through Open Data Réseaux Énergies: quarter-hours, no token.

The dataset ``eco2mix-national-tr`` at https://odre.opendatasoft.com: direct CO2 of the electricity that is produced in
France, in g/kWh (``taux_co2``). There is no forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eco2ai_callbacks.carbon import places
from eco2ai_callbacks.carbon.live.source import Request, figure, moment, rows
from eco2ai_callbacks.carbon.series import Span
from eco2ai_callbacks.errors import SettingsError

_QUARTER_S = 900.0


class Eco2Mix:
    """The source for France.

    Args:
        region: The place.
        kind: The kind that is asked for; it has only one.
        base: Address of the service.

    Raises:
        SettingsError: The place is not in France, or the kind is another.
    """

    kind = "direct"
    refresh_s: float = 900.0
    token_name = None
    key = "eco2mix"
    title = "éCO2mix, France"

    def __init__(self, region: str, kind: str = "best", base: str = "https://odre.opendatasoft.com") -> None:
        if places.country_of(places.resolve(region)) != "FR":
            raise SettingsError(f"intensity='live:eco2mix' knows France alone, and region={region!r} is not in it")
        if kind == "lifecycle":
            raise SettingsError("intensity='live:eco2mix' has direct figures, no intensity_kind='lifecycle'")
        self._base = base

    def requests(self, now_s: float, token: str, *, forecast: bool) -> Sequence[Request]:
        """Return what to ask for: the last day, which is as much as one request gives."""
        params = {
            "select": "date_heure,taux_co2",
            "where": "taux_co2 is not null",
            "order_by": "date_heure desc",
            "limit": "100",
        }
        return [Request(f"{self._base}/api/explore/v2.1/catalog/datasets/eco2mix-national-tr/records", params)]

    def spans(self, reply: Any) -> list[Span]:
        """Return the figures."""
        found = []
        for row in rows(reply, "results"):
            g_per_kwh = figure(row.get("taux_co2"))
            if g_per_kwh is not None:
                begin_s = moment(row.get("date_heure"))
                found.append(Span(begin_s, begin_s + _QUARTER_S, g_per_kwh))
        return found
