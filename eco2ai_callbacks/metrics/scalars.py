"""Scalars for a framework's loggers, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eco2ai_callbacks.host.gpu_health import Health, mean_over
from eco2ai_callbacks.phases.shares import Phases
from eco2ai_callbacks.usage import Usage, component_of, kwh

PREFIX = "eco2ai/"


@dataclass(frozen=True, slots=True)
class Units:
    """The units of energy and CO2e, as the scalars' names end.

    Args:
        energy: ``kwh`` or ``wh``.
        co2: ``kg`` or ``g``.
        per: How many of them are a kWh, and a kg.
    """

    energy: str
    co2: str
    per: float

    def of(self, name: str, energy_kwh: float | None = None, co2_kg: float | None = None) -> dict[str, float | None]:
        """Return energy and CO2e by name and unit, where ``name`` stands before them."""
        return {
            f"{name}energy_{self.energy}": None if energy_kwh is None else energy_kwh * self.per,
            f"{name}co2_{self.co2}": None if co2_kg is None else co2_kg * self.per,
        }


UNITS: Mapping[str, Units] = {"kWh": Units("kwh", "kg", 1.0), "Wh": Units("wh", "g", 1000.0)}
"""By the values of the setting ``units``."""
_DEFAULT = UNITS["kWh"]


def train_scalars(
    train: Usage | None,
    *,
    level: str = "basic",
    samples: int | None = None,
    tokens: int | None = None,
    units: Units = _DEFAULT,
    phases: Phases | None = None,
    health: Health | None = None,
) -> dict[str, float]:
    """Return the scalars of an epoch's training; what was not measured is left out.

    Args:
        train: Usage of the epoch's training.
        level: ``basic``, or ``all`` for components, power and efficiency too.
        samples: Training samples of the epoch, where the framework reports them.
        tokens: Training tokens of the epoch, where the framework reports them.
        units: Units of energy and CO2e.
        phases: The usage since the last epoch's end by phase.
        health: The health of the GPUs since the last epoch's end.
    """
    found = _figures(train, PREFIX, units)
    if level == "all" and train is not None:
        for component in sorted({component_of(channel) for channel in train.joules}):
            found[f"{PREFIX}{component}_{units.energy}"] = (train.component_kwh(component) or 0.0) * units.per
        found[f"{PREFIX}power_w"] = train.power_w
        if train.total_j is not None and samples:
            found[f"{PREFIX}j_per_sample"] = train.total_j / samples
        if train.total_j is not None and tokens:
            found[f"{PREFIX}j_per_token"] = train.total_j / tokens
        for name, (seconds, joules) in (phases or {}).items():
            part = f"{PREFIX}phase_{name}_"
            found[f"{part}seconds"] = seconds
            found |= {} if train.total_j is None else {f"{part}{units.energy}": kwh(joules) * units.per}
        found |= _gpu_scalars(health or {}, units)
    return _known(found)


def _gpu_scalars(health: Health, units: Units) -> dict[str, float | None]:
    """Return the health of all GPUs together: means over them, the temperature of the hottest, the sum of energy."""
    each = health.values()
    found = {f"{PREFIX}gpu_{name}": mean_over(each, name) for name in ("busy", "memory_busy", "throttled", "idle")}
    clocks = [gpu.clock_mhz / gpu.max_clock_mhz for gpu in each if gpu.clock_mhz is not None and gpu.max_clock_mhz]
    found[f"{PREFIX}gpu_clock_share"] = sum(clocks) / len(clocks) if clocks else None
    found[f"{PREFIX}gpu_hottest_c"] = max((gpu.hottest_c for gpu in each if gpu.hottest_c is not None), default=None)
    idle = [gpu.idle_j for gpu in each if gpu.idle_j is not None]
    found[f"{PREFIX}gpu_idle_{units.energy}"] = kwh(sum(idle)) * units.per if idle else None
    return found


def step_scalars(
    window: Usage,
    steps: int,
    *,
    samples: int | None = None,
    tokens: int | None = None,
    units: Units = _DEFAULT,
) -> dict[str, float]:
    """Return the scalars of a window of training steps; what was not measured is left out.

    Args:
        window: Usage of the steps.
        steps: How many they are.
        samples: Their samples, where the framework reports them.
        tokens: Their tokens, where the framework reports them.
        units: Units of energy.
    """
    part = f"{PREFIX}step_"
    joules = window.total_j
    if joules is None:
        return {}
    found: dict[str, float | None] = {f"{part}energy_{units.energy}": kwh(joules) * units.per}
    found |= {f"{part}power_w": window.power_w, f"{part}j_per_step": joules / steps}
    found[f"{part}j_per_sample"] = joules / samples if samples else None
    found[f"{part}j_per_token"] = joules / tokens if tokens else None
    return _known(found)


def validation_scalars(validation: Usage | None, units: Units = _DEFAULT) -> dict[str, float]:
    """Return the scalars of an epoch's validation, where there was one."""
    return _known(_figures(validation, f"{PREFIX}val_", units))


def total_scalars(total: Usage, units: Units = _DEFAULT) -> dict[str, float]:
    """Return the scalars of a run so far."""
    return _known(_figures(total, f"{PREFIX}total_", units))


def stage_scalars(usage: Usage, stage: str = "", prefix: str = "", units: Units = _DEFAULT) -> dict[str, float]:
    """Return one evaluation's scalars.

    Args:
        usage: Usage of the evaluation.
        stage: A part inside the names: ``test`` gives ``eco2ai/test_energy_kwh``.
        prefix: A part before them: ``eval_`` gives ``eval_eco2ai/energy_kwh``.
        units: Units of energy and CO2e.
    """
    inner = f"{stage}_" if stage else ""
    return _known(_figures(usage, f"{prefix}{PREFIX}{inner}", units))


def forecast_scalars(forecast: Mapping[str, Any], *, level: str = "basic", units: Units = _DEFAULT) -> dict[str, float]:
    """Return the scalars of a forecast of the whole run.

    Args:
        forecast: A forecast as records hold it.
        level: ``basic``, or ``all`` for the ends of its bands too.
        units: Units of energy and CO2e.
    """
    found = units.of(f"{PREFIX}forecast_", forecast.get("energy_kwh"), forecast.get("co2_kg"))
    found[f"{PREFIX}forecast_seconds"] = forecast.get("seconds")
    if level == "all":
        for figure, band, unit, per in (
            ("energy_", "energy_band_kwh", f"_{units.energy}", units.per),
            ("co2_", "co2_band_kg", f"_{units.co2}", units.per),
            ("", "seconds_band", "_seconds", 1.0),
        ):
            for end, value in zip(("low", "high"), forecast.get(band) or (), strict=False):
                found[f"{PREFIX}forecast_{figure}{end}{unit}"] = value * per
    return _known(found)


def _figures(usage: Usage | None, name: str, units: Units) -> dict[str, float | None]:
    """Return energy, CO2e and, where there is a price, the cost."""
    if usage is None:
        return {}
    return units.of(name, usage.energy_kwh, usage.co2_kg) | {f"{name}cost": usage.cost}


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}
