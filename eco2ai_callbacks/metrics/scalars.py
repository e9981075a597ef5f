"""Scalars for a framework's loggers, by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from eco2ai_callbacks.usage import Usage, component_of

PREFIX = "eco2ai/"


def train_scalars(
    train: Usage | None, *, level: str = "basic", samples: int | None = None, tokens: int | None = None
) -> dict[str, float]:
    """Return the scalars of an epoch's training; what was not measured is left out.

    Args:
        train: Usage of the epoch's training.
        level: ``basic``, or ``all`` for components, power and efficiency too.
        samples: Training samples of the epoch, where the framework reports them.
        tokens: Training tokens of the epoch, where the framework reports them.
    """
    found: dict[str, float | None] = {f"{PREFIX}{name}": value for name, value in _energy(train).items()}
    if level == "all" and train is not None:
        for component in sorted({component_of(channel) for channel in train.joules}):
            found[f"{PREFIX}{component}_kwh"] = train.component_kwh(component)
        found[f"{PREFIX}power_w"] = train.power_w
        if train.total_j is not None and samples:
            found[f"{PREFIX}j_per_sample"] = train.total_j / samples
        if train.total_j is not None and tokens:
            found[f"{PREFIX}j_per_token"] = train.total_j / tokens
    return _known(found)


def validation_scalars(validation: Usage | None) -> dict[str, float]:
    """Return the scalars of an epoch's validation, where there was one."""
    return _known({f"{PREFIX}val_{name}": value for name, value in _energy(validation).items()})


def total_scalars(total: Usage) -> dict[str, float]:
    """Return the scalars of a run so far."""
    return _known({f"{PREFIX}total_{name}": value for name, value in _energy(total).items()})


def stage_scalars(usage: Usage, stage: str = "", prefix: str = "") -> dict[str, float]:
    """Return one evaluation's scalars.

    Args:
        usage: Usage of the evaluation.
        stage: A part inside the names: ``test`` gives ``eco2ai/test_energy_kwh``.
        prefix: A part before them: ``eval_`` gives ``eval_eco2ai/energy_kwh``.
    """
    inner = f"{stage}_" if stage else ""
    return _known({f"{prefix}{PREFIX}{inner}{name}": value for name, value in _energy(usage).items()})


def forecast_scalars(forecast: Mapping[str, Any], *, level: str = "basic") -> dict[str, float]:
    """Return the scalars of a forecast of the whole run.

    Args:
        forecast: A forecast as records hold it.
        level: ``basic``, or ``all`` for the ends of its bands too.
    """
    found: dict[str, float | None] = {}
    for name, band, ends in _FORECAST:
        found[f"{PREFIX}forecast_{name}"] = forecast.get(name)
        if level == "all" and band in forecast:
            found |= {f"{PREFIX}forecast_{end}": value for end, value in zip(ends, forecast[band], strict=True)}
    return _known(found)


def no_forecast(*, level: str = "basic") -> dict[str, float]:
    """Return the names of :func:`forecast_scalars` without figures (NaN), for logs whose epochs have equal names."""
    bands = {band: (math.nan, math.nan) for _, band, _ in _FORECAST}
    return forecast_scalars({name: math.nan for name, _, _ in _FORECAST} | bands, level=level)


# A figure and its band as records name them, and the ends of the band as scalars do.
_FORECAST = (
    ("energy_kwh", "energy_band_kwh", ("energy_low_kwh", "energy_high_kwh")),
    ("co2_kg", "co2_band_kg", ("co2_low_kg", "co2_high_kg")),
    ("seconds", "seconds_band", ("low_seconds", "high_seconds")),
)


def _energy(usage: Usage | None) -> dict[str, float | None]:
    return {} if usage is None else {"energy_kwh": usage.energy_kwh, "co2_kg": usage.co2_kg}


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}
