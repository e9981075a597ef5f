"""ENTSO-E's Transparency Platform: what each kind of power plant of a bidding zone generates, by a token.

Documented in its guide to the Restful API (document A75, process A16, realised generation by production type). It has
no carbon intensity: that is the mean of life-cycle factors over the generation. Imports are not in it, and there is no
forecast.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from eco2ai_callbacks.carbon import places
from eco2ai_callbacks.carbon.live.source import Request, Unusable, check_kind, moment
from eco2ai_callbacks.carbon.series import Span
from eco2ai_callbacks.errors import SettingsError

_HOUR_S, _DAY_S = 3600.0, 86_400.0
# Codes of the bidding zones (EIC), as the platform lists them under Area.
_AREAS: Mapping[str, str] = {
    **{"AT": "10YAT-APG------L", "BE": "10YBE----------2", "BG": "10YCA-BULGARIA-R", "CH": "10YCH-SWISSGRIDZ"},
    **{"CZ": "10YCZ-CEPS-----N", "DE": "10Y1001A1001A82H", "DE-LU": "10Y1001A1001A82H", "LU": "10Y1001A1001A82H"},
    **{"DK1": "10YDK-1--------W", "DK2": "10YDK-2--------M", "EE": "10Y1001A1001A39I", "ES": "10YES-REE------0"},
    **{"FI": "10YFI-1--------U", "FR": "10YFR-RTE------C", "GR": "10YGR-HTSO-----Y", "HR": "10YHR-HEP------M"},
    **{"HU": "10YHU-MAVIR----U", "IE": "10Y1001A1001A59C", "IE-SEM": "10Y1001A1001A59C", "LT": "10YLT-1001A0008Q"},
    **{"LV": "10YLV-1001A00074", "NL": "10YNL----------L", "PL": "10YPL-AREA-----S", "PT": "10YPT-REN------W"},
    **{"NO1": "10YNO-1--------2", "NO2": "10YNO-2--------T", "NO3": "10YNO-3--------J", "NO4": "10YNO-4--------9"},
    **{"NO5": "10Y1001A1001A48H", "RO": "10YRO-TEL------P", "RS": "10YCS-SERBIATSOV", "SE1": "10Y1001A1001A44P"},
    **{"SE2": "10Y1001A1001A45N", "SE3": "10Y1001A1001A46L", "SE4": "10Y1001A1001A47J", "SI": "10YSI-ELES-----O"},
    **{"SK": "10YSK-SEPS-----K", "IT-NORD": "10Y1001A1001A73I", "IT-CNOR": "10Y1001A1001A70O"},
    **{"IT-CSUD": "10Y1001A1001A71M", "IT-SUD": "10Y1001A1001A788", "IT-CALA": "10Y1001C--00096J"},
    **{"IT-SICI": "10Y1001A1001A75E", "IT-SARD": "10Y1001A1001A74G"},
}
# g CO2e/kWh over the life cycle, medians: IPCC AR5, Working Group III, Annex III, table A.III.2 (2014). It has none for
# coal-derived gas, oil, oil shale, peat, waste and what is only called other.
_FACTORS: Mapping[str, float] = {
    **{"B01": 230.0, "B02": 820.0, "B04": 490.0, "B05": 820.0, "B09": 38.0, "B11": 24.0, "B12": 24.0, "B13": 17.0},
    **{"B14": 12.0, "B16": 48.0, "B18": 12.0, "B19": 11.0},
}
# Pumped storage gives back what was generated before.
_STORAGE = "B10"
# The part of the generation without a factor above which a time has no figure.
_MOST_UNKNOWN = 0.10
_STEPS_S = {"PT15M": 900.0, "PT30M": 1800.0, "PT60M": _HOUR_S, "PT1H": _HOUR_S}


class Entsoe:
    """The source for one bidding zone.

    Args:
        region: The place; its zone is the smallest around it that the platform has.
        kind: The kind that is asked for; it has only one.
        base: Address of the service.

    Raises:
        SettingsError: The place is in no zone, or the kind is another.
    """

    kind = "lifecycle"
    refresh_s: float = 1800.0
    token_names: tuple[str, ...] = ("ENTSOE_TOKEN",)

    def __init__(self, region: str, kind: str = "best", base: str = "https://web-api.tp.entsoe.eu") -> None:
        zone = next((spot.id for spot in places.chain(places.resolve(region)) if spot.id in _AREAS), "")
        if not zone:
            raise SettingsError(
                f"intensity='live:entsoe' has no bidding zone for region={region!r}; accepted are places in one of "
                f"{', '.join(sorted(_AREAS))}"
            )
        check_kind("entsoe", kind, self.kind)
        self._area = _AREAS[zone]
        self._base = base
        self.key: str = f"entsoe-{self._area}"
        self.title: str = f"ENTSO-E generation by IPCC AR5 factors, {zone}"

    def requests(self, now_s: float, token: str, *, forecast: bool) -> Sequence[Request]:
        """Return what to ask for: the last day until the hour that runs."""
        end_s = (now_s // _HOUR_S + 1) * _HOUR_S
        begin, end = (datetime.fromtimestamp(s, UTC).strftime("%Y%m%d%H%M") for s in (end_s - _DAY_S - _HOUR_S, end_s))
        params = {
            **{"documentType": "A75", "processType": "A16", "in_Domain": self._area},
            **{"periodStart": begin, "periodEnd": end},
        }
        return [Request(f"{self._base}/api", params, secret_params={"securityToken": token}, is_json=False)]

    def spans(self, reply: Any) -> list[Span]:
        """Return the mean factor of each period's generation."""
        root = _parsed(reply)
        if _name(root) == "Acknowledgement_MarketDocument":
            raise Unusable(f"it has no data: {_child_text(root, 'Reason', 'text')[:120] or 'no reason is given'}")
        if _name(root) != "GL_MarketDocument":
            raise Unusable(f"its reply is {_name(root)[:40]!r}, not generation")
        megawatts: dict[tuple[float, float], dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for series in _children(root, "TimeSeries"):
            # Series with an area that takes are what storage and the plants themselves consume.
            if any(True for _ in _children(series, "outBiddingZone_Domain.mRID")):
                continue
            area = _child_text(series, "inBiddingZone_Domain.mRID")
            if area != self._area:
                raise Unusable(f"its reply is for {area!r:.40}, not for {self._area}")
            plants = _child_text(series, "MktPSRType", "psrType")
            for period in _children(series, "Period"):
                for begin_s, end_s, value in _points(period, _child_text(series, "curveType") == "A03"):
                    megawatts[begin_s, end_s][plants] += value
        usual = _usual(megawatts.values())
        return [
            Span(*when, g)
            for when, each in megawatts.items()
            if usual <= each.keys() and (g := mean_factor(each)) is not None
        ]


def mean_factor(megawatts: Mapping[str, float]) -> float | None:
    """Return the mean life-cycle factor of generation; ``None`` where too much of it has none.

    Args:
        megawatts: Power by production type.

    Example:
        >>> mean_factor({"B14": 300.0, "B04": 100.0})
        131.5
    """
    generated = {plants: power for plants, power in megawatts.items() if plants != _STORAGE and power > 0}
    known = {plants: power for plants, power in generated.items() if plants in _FACTORS}
    whole, part = sum(generated.values()), sum(known.values())
    if not part or part < (1 - _MOST_UNKNOWN) * whole:
        return None
    return sum(power * _FACTORS[plants] for plants, power in known.items()) / part


def _usual(periods: Collection[Mapping[str, float]]) -> set[str]:
    """Return the kinds of plants that most periods have: in the newest ones some have not reported yet."""
    counts = Counter(plants for each in periods for plants in each)
    return {plants for plants, count in counts.items() if 2 * count > len(periods)}


def _parsed(reply: Any) -> ElementTree.Element:
    # No entities: they can make a small text a large one. The platform sends none.
    if not isinstance(reply, str) or "<!DOCTYPE" in reply or "<!ENTITY" in reply:
        raise Unusable("its reply is no XML without entities")
    try:
        # The declaration may name an encoding, which a text has no longer.
        return ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", reply))
    except (ElementTree.ParseError, ValueError, RecursionError):
        raise Unusable("its reply is no XML") from None


def _name(element: ElementTree.Element) -> str:
    """Return an element's name without its namespace, which carries a version."""
    return element.tag.rpartition("}")[2]


def _children(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (child for child in element if _name(child) == name)


def _child_text(element: ElementTree.Element, *names: str) -> str:
    """Return the text of the first descendant along these names; empty where there is none."""
    for name in names:
        found = next(_children(element, name), None)
        if found is None:
            return ""
        element = found
    return (element.text or "").strip()


def _points(period: ElementTree.Element, holds: bool) -> Iterator[tuple[float, float, float]]:
    """Return begin, end and megawatts of each point of a period.

    Args:
        period: The period.
        holds: Whether a point holds until the next one that is given.
    """
    step_s = _STEPS_S.get(_child_text(period, "resolution"))
    if step_s is None:
        raise Unusable(f"its reply has the resolution {_child_text(period, 'resolution')!r:.40}")
    begin_s = moment(_child_text(period, "timeInterval", "start"))
    count = round((moment(_child_text(period, "timeInterval", "end")) - begin_s) / step_s)
    if not 0 < count <= _MOST_POINTS:
        raise Unusable("its reply has a period without a length")
    given: dict[int, float] = {}
    for point in _children(period, "Point"):
        position, quantity = _child_text(point, "position"), _child_text(point, "quantity")
        if not re.fullmatch(r"\d{1,6}", position) or not re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", quantity):
            raise Unusable(f"its reply has {quantity!r:.40} at {position!r:.40} where megawatts belong")
        given[int(position)] = float(quantity)
    value: float | None = None
    for place in range(1, count + 1):
        value = given.get(place, value if holds else None)
        if value is not None:
            yield begin_s + (place - 1) * step_s, begin_s + place * step_s, value


# A week of quarters.
_MOST_POINTS = 672
