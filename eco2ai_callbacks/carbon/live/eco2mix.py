"""France's éCO2mix (RTE), through Open Data Réseaux Énergies: quarter-hours, no token.

The dataset ``eco2mix-national-tr`` at https://odre.opendatasoft.com: direct CO2 of the electricity that is produced in
France, in g/kWh (``taux_co2``). There is no forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eco2ai_callbacks.carbon import places
from eco2ai_callbacks.carbon.live.source import Request, check_kind, rows, spans_of, unknown_place
from eco2ai_callbacks.carbon.series import Span

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
    token_names: tuple[str, ...] = ()
    key = "eco2mix"
    title = "éCO2mix, France"

    def __init__(self, region: str, kind: str = "best", base: str = "https://odre.opendatasoft.com") -> None:
        if places.country_of(places.resolve(region)) != "FR":
            raise unknown_place("eco2mix", "France", region)
        check_kind("eco2mix", kind, self.kind)
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
        return spans_of(rows(reply, "results"), "date_heure", "taux_co2", _QUARTER_S)
