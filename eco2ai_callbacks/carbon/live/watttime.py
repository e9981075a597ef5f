"""WattTime's API, version 3: five-minute marginal figures of its regions all over the world, by user and password.

Documented at https://docs.watttime.org: ``/login`` gives a token for half an hour, ``/v3/historical`` and
``/v3/forecast`` the signal ``co2_moer``, the marginal operating emissions rate in lb of CO2 per MWh. Marginal figures
are for ``eco2ai when`` alone. Without a subscription there is the region CAISO_NORTH.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from eco2ai_callbacks.carbon.live.source import Request, Unusable, figure, moment, rows, stamp
from eco2ai_callbacks.carbon.series import MARGINAL, Span
from eco2ai_callbacks.errors import SettingsError

_FIVE_MINUTES_S, _DAY_S = 300.0, 86_400.0
_SIGNAL, _UNITS = "co2_moer", "lbs_co2_per_mwh"
# Grams in a pound (exact, by the international agreement of 1959), for kWh instead of MWh.
_G_PER_KWH = 453.59237 / 1000.0
# The longest horizon that there is; a contract may give less of it.
_HORIZON_H = 72


class WattTime:
    """The source for one of WattTime's regions.

    Args:
        zone: The region, by WattTime's name.
        kind: The kind that is asked for; it has only one.
        base: Address of the service.

    Raises:
        SettingsError: There is no region, or a kind of average figures is asked for.
    """

    kind = MARGINAL
    refresh_s: float = 1800.0
    # As WattTime's own client calls them.
    token_names: tuple[str, ...] = ("WATTTIME_USER", "WATTTIME_PASSWORD")

    def __init__(self, zone: str, kind: str = "best", base: str = "https://api.watttime.org") -> None:
        if not re.fullmatch(r"[A-Z0-9_]{2,64}", zone):
            raise SettingsError(
                f"intensity='live:watttime:{zone}' names no region of WattTime; accepted are its own names, as in "
                "live:watttime:CAISO_NORTH"
            )
        if kind != "best":
            raise SettingsError(f"intensity='live:watttime:{zone}' has marginal figures, no intensity_kind={kind!r}")
        self._zone = zone
        self._base = base
        self.key: str = f"watttime-{zone}"
        self.title: str = f"WattTime v3, {zone}"

    def login(self, credential: str) -> Request:
        """Return what to ask a token for.

        Args:
            credential: User and password, with ``:`` between them.
        """
        encoded = base64.b64encode(credential.encode()).decode()
        return Request(f"{self._base}/login", secret={"Authorization": f"Basic {encoded}"})

    def token(self, reply: Any) -> str:
        """Return the token of the reply.

        Raises:
            Unusable: There is none.
        """
        found = reply.get("token") if isinstance(reply, Mapping) else None
        # HTTP libraries repeat a header that they refuse in their error.
        if not isinstance(found, str) or not re.fullmatch(r"[!-~]{1,8000}", found):
            raise Unusable("its reply to the login has no token")
        return found

    def requests(self, now_s: float, token: str, *, forecast: bool) -> Sequence[Request]:
        """Return what to ask for."""
        params = {"region": self._zone, "signal_type": _SIGNAL}
        if forecast:
            name, more = "forecast", {"horizon_hours": str(_HORIZON_H)}
        else:
            begin, end = (stamp(seconds, _FIVE_MINUTES_S) for seconds in (now_s - _DAY_S, now_s))
            name, more = "historical", {"start": begin, "end": end}
        return [Request(f"{self._base}/v3/{name}", params | more, {"Authorization": f"Bearer {token}"})]

    def spans(self, reply: Any) -> list[Span]:
        """Return the figures of the region, in g/kWh."""
        found = rows(reply, "data")
        meta = reply.get("meta")
        if not isinstance(meta, Mapping):
            raise Unusable("its reply has no 'meta'")
        for name, expected in (("region", self._zone), ("signal_type", _SIGNAL), ("units", _UNITS)):
            if meta.get(name) != expected:
                raise Unusable(f"its reply has the {name} {meta.get(name)!r:.40}, not {expected}")
        step_s = meta.get("data_point_period_seconds", _FIVE_MINUTES_S)
        if isinstance(step_s, bool) or not isinstance(step_s, int | float) or not 0 < step_s <= _DAY_S:
            raise Unusable(f"its reply has {step_s!r:.40} where the length of a period belongs")
        result = []
        for row in found:
            rate = row.get("value")
            scaled = rate * _G_PER_KWH if isinstance(rate, int | float) and not isinstance(rate, bool) else rate
            g_per_kwh = figure(scaled)
            if g_per_kwh is not None:
                begin_s = moment(row.get("point_time"))
                result.append(Span(begin_s, begin_s + step_s, g_per_kwh))
        return result
