"""Fields that follow from others of the same record and from its methods' accuracy: lines leave them out.

The writer and the readers compute them by the same functions from the same numbers, so they agree to the last digit. A
field that differs, as the band of a channel with gaps, stands in the line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eco2ai_callbacks.record import segment_bands, sum_bands
from eco2ai_callbacks.usage import Method

Spread = tuple[float, float]
# The sums of an epoch that a record repeats.
_SUM = ("energy_kwh", "co2_kg", "seconds")
_BANDS = ("energy_band_kwh", "co2_band_kg")


def methods_of(names: Mapping[str, Any], accuracy: Mapping[str, Any]) -> dict[str, Method]:
    """Return the measuring methods, as far as their accuracy is known.

    Args:
        names: Name of each channel's method.
        accuracy: Accuracy of each channel's method, as records hold it.
    """
    return {channel: Method(name, *accuracy[channel][:4]) for channel, name in names.items() if channel in accuracy}


def spread_of(intensity: Mapping[str, Any] | None) -> Spread:
    """Return the band of a carbon intensity, as factors on it; 1 and 1 where it is not known."""
    used = intensity or {}
    grams, low, high = used.get("g_per_kwh"), used.get("low"), used.get("high")
    return (low / grams, high / grams) if grams and low is not None and high is not None else (1.0, 1.0)


def segment_fields(joules: Mapping[str, float], methods: Mapping[str, Method]) -> dict[str, Any]:
    """Return ``band`` and ``measured_share`` of a record."""
    if not joules or not methods:
        return {"band": {}, "measured_share": None}
    return segment_bands(joules, methods)


def epoch_total(event: str, energy_kwh: float | None, co2_kg: float | None, seconds: float, cost: Any) -> Any:
    """Return the ``epoch_total`` of an epoch that has no mark but this record; ``None`` for other events."""
    if event != "epoch":
        return None
    result = {"energy_kwh": energy_kwh, "co2_kg": co2_kg, "seconds": seconds}
    return result if cost is None else result | {"cost": cost}


def short_total(
    total: Mapping[str, Any], joules: Mapping[str, float], methods: Mapping[str, Method], spread: Spread
) -> dict[str, Any]:
    """Return a total as a line holds it; :func:`full_total` is the inverse.

    Joules of the record's own channels, in their order, are a list. Bands that follow from them are left out.
    """
    result = {name: value for name, value in total.items() if value is not None or name not in _SUM}
    own = total.get("joules")
    if own is not None:
        bands = sum_bands(own, total.get("co2_kg"), methods, spread)
        for name in _BANDS:
            if name in total and total[name] == bands.get(name):
                del result[name]
            elif name in bands and name not in total:
                result[name] = None
        result["joules"] = list(own.values()) if list(own) == list(joules) else dict(own)
    return result


def full_total(
    total: Mapping[str, Any], joules: Mapping[str, float], methods: Mapping[str, Method], spread: Spread
) -> dict[str, Any]:
    """Return a total from what a line holds of it."""
    own = total.get("joules")
    if isinstance(own, list | tuple):
        own = dict(zip(joules, own, strict=False))
    bands = {} if own is None else sum_bands(own, total.get("co2_kg"), methods, spread)
    result: dict[str, Any] = {name: total.get(name) for name in _SUM} | bands
    result.update(total)
    for name in bands:
        if result[name] is None:
            del result[name]
    if own is not None:
        result["joules"] = own
    return result
