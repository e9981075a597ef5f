"""Denmark's Energi Data Service (Energinet): five-minute figures of DK1 and DK2, no token.

Documented at https://www.energidataservice.dk/guides/api-guides: the datasets CO2Emis (what was) and CO2EmisProg (until
the end of the next day), in g/kWh of electricity that is consumed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from eco2ai_callbacks.carbon import places
from eco2ai_callbacks.carbon.live.source import Request, Unusable, check_kind, rows, spans_of, unknown_place
from eco2ai_callbacks.carbon.series import Span

_FIVE_MINUTES_S = 300.0


class EnergiDataService:
    """The source for one of Denmark's two bidding zones.

    Args:
        region: The place.
        kind: The kind that is asked for; it has only one.
        base: Address of the service.

    Raises:
        SettingsError: The place is in neither zone, or the kind is another.
    """

    kind = "direct"
    # The service asks for no more requests than its data have news.
    refresh_s: float = 900.0
    token_names: tuple[str, ...] = ()

    def __init__(self, region: str, kind: str = "best", base: str = "https://api.energidataservice.dk") -> None:
        zones = [spot.id for spot in places.chain(places.resolve(region)) if spot.id in ("DK1", "DK2")]
        if not zones:
            raise unknown_place("energidataservice", "the zones DK1 and DK2", region)
        check_kind("energidataservice", kind, self.kind)
        self._zone = zones[0]
        self._base = base
        self.key: str = f"energidataservice-{self._zone}"
        self.title: str = f"Energi Data Service, {self._zone}"

    def requests(self, now_s: float, token: str, *, forecast: bool) -> Sequence[Request]:
        """Return what to ask for; the prognosis comes first, so that what was counts before it."""
        params = {
            # Relative times need no knowledge of Denmark's clock, which the service's parameters follow.
            "start": "now-P1D",
            "filter": json.dumps({"PriceArea": [self._zone]}),
            "columns": "Minutes5UTC,PriceArea,CO2Emission",
            "limit": "0",
        }
        return [Request(f"{self._base}/dataset/{dataset}", params) for dataset in ("CO2EmisProg", "CO2Emis")]

    def spans(self, reply: Any) -> list[Span]:
        """Return the figures of the zone."""
        found = rows(reply, "records")
        for row in found:
            if row.get("PriceArea") != self._zone:
                raise Unusable(f"its reply is for {row.get('PriceArea')!r:.40}, not for {self._zone}")
        return spans_of(found, "Minutes5UTC", "CO2Emission", _FIVE_MINUTES_S, utc=True)
