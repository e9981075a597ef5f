"""Great Britain's Carbon Intensity API of the system operator (NESO): half-hours, no token.

Documented at https://carbon-intensity.github.io/api-definitions/ (CC BY 4.0): CO2 of generation and imports, with a
forecast of two days.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eco2ai_callbacks.carbon import places
from eco2ai_callbacks.carbon.live.source import (
    Request,
    Unusable,
    check_kind,
    figure,
    moment,
    rows,
    stamp,
    unknown_place,
)
from eco2ai_callbacks.carbon.series import Span

_HALF_HOUR_S = 1800.0


class CarbonIntensityGB:
    """The source for Great Britain.

    Args:
        region: The place.
        kind: The kind that is asked for; it has only one.
        base: Address of the service.

    Raises:
        SettingsError: The place is not in Great Britain, or the kind is another.
    """

    kind = "direct"
    refresh_s: float = 1800.0
    token_names: tuple[str, ...] = ()
    key = "carbon-intensity-gb"
    title = "Carbon Intensity API, Great Britain"

    def __init__(self, region: str, kind: str = "best", base: str = "https://api.carbonintensity.org.uk") -> None:
        around = [spot.id for spot in places.chain(places.resolve(region))]
        if "GB" not in around or "GB-NIR" in around:
            raise unknown_place("carbon-intensity-gb", "Great Britain", region)
        check_kind("carbon-intensity-gb", kind, self.kind)
        self._base = base

    def requests(self, now_s: float, token: str, *, forecast: bool) -> Sequence[Request]:
        """Return what to ask for; the forecast comes with the hours before."""
        now = stamp(now_s, _HALF_HOUR_S)
        return [Request(f"{self._base}/intensity/{now}/{which}") for which in ("fw48h", "pt24h")]

    def spans(self, reply: Any) -> list[Span]:
        """Return the figures: what was, and where that is not known yet the forecast."""
        found = []
        for row in rows(reply, "data"):
            given = row.get("intensity")
            if not isinstance(given, dict):
                raise Unusable("its reply has a row without 'intensity'")
            actual, expected = figure(given.get("actual")), figure(given.get("forecast"))
            g_per_kwh = expected if actual is None else actual
            if g_per_kwh is not None:
                found.append(Span(moment(row.get("from")), moment(row.get("to")), g_per_kwh))
        return found
