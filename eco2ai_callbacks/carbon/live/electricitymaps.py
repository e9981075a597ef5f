"""Electricity Maps' API, version 3: hours of zones all over the world, by a token.

Documented at https://app.electricitymaps.com/developer-hub/api/reference: ``history`` holds the last 24 hours,
``latest`` the current one, ``forecast`` the next days where the token's contract has it. Consumption-based averages, by
life-cycle or direct factors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from eco2ai_callbacks.carbon import places
from eco2ai_callbacks.carbon.live.source import Request, Unusable, rows, spans_of
from eco2ai_callbacks.carbon.series import Span
from eco2ai_callbacks.errors import SettingsError

_HOUR_S = 3600.0
# Its keys of bidding zones that are not the zone's id behind its country's.
_KEYS = {
    **{"IT-NORD": "IT-NO", "IT-CNOR": "IT-CNO", "IT-CSUD": "IT-CSO", "IT-SUD": "IT-SO", "IT-CALA": "IT-CA"},
    **{"IT-SICI": "IT-SIC", "IT-SARD": "IT-SAR", "DE-LU": "DE", "IE-SEM": "IE"},
}
# Countries whose subdivisions are zones.
_DIVIDED = ("AU", "CA")


class ElectricityMaps:
    """The source for one zone.

    Args:
        region: The place; its zone is the smallest around it that has a key.
        kind: ``direct`` asks for direct factors, everything else for life-cycle ones.
        base: Address of the service.

    Raises:
        SettingsError: The place is in no zone.
    """

    refresh_s: float = 1800.0
    token_names: tuple[str, ...] = ("ELECTRICITYMAPS_TOKEN",)

    def __init__(self, region: str, kind: str = "best", base: str = "https://api.electricitymaps.com/v3") -> None:
        keys = (zone_of(spot) for spot in places.chain(places.resolve(region)))
        zone = next(filter(None, keys), "")
        if not zone:
            raise SettingsError(f"intensity='live:electricitymaps' has no zone for region={region!r}; name a country")
        self.kind = "direct" if kind == "direct" else "lifecycle"
        self._zone = zone
        self._base = base
        self.key: str = f"electricitymaps-{zone}-{self.kind}"
        self.title: str = f"Electricity Maps v3, {zone}"

    def requests(self, now_s: float, token: str, *, forecast: bool) -> Sequence[Request]:
        """Return what to ask for."""
        params = {"zone": self._zone, "emissionFactorType": self.kind}
        names = ["forecast"] if forecast else ["history", "latest"]
        return [Request(f"{self._base}/carbon-intensity/{name}", params, {"auth-token": token}) for name in names]

    def spans(self, reply: Any) -> list[Span]:
        """Return the figures of the zone."""
        if not isinstance(reply, Mapping):
            raise Unusable("its reply is no object")
        # Without a zone that it knows, the service answers for the place of the caller's address.
        self._check(reply, "zone", self._zone)
        name = next((name for name in ("history", "forecast") if name in reply), "")
        found = rows(reply, name) if name else [reply]
        for row in found:
            if "zone" in row:
                self._check(row, "zone", self._zone)
            if "emissionFactorType" in row:
                self._check(row, "emissionFactorType", self.kind)
        return spans_of(found, "datetime", "carbonIntensity", _HOUR_S)

    def _check(self, row: Mapping[str, Any], name: str, expected: str) -> None:
        if row.get(name) != expected:
            raise Unusable(f"its reply has the {name} {row.get(name)!r:.40}, not {expected}")


def zone_of(spot: places.Spot) -> str:
    """Return the key of the zone that a place is; empty where it is none.

    Example:
        >>> zone_of(places.place("SE3"))
        'SE-SE3'
    """
    if spot.id in _KEYS:
        return _KEYS[spot.id]
    if spot.level == "bidding zone":
        return f"{spot.parent}-{spot.id}" if re.fullmatch(rf"{spot.parent}\d", spot.id) else ""
    if spot.level in ("balancing authority", "country") or (spot.level == "subdivision" and spot.parent in _DIVIDED):
        return spot.id
    return ""
