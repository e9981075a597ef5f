"""Budgets of a run: the check whether energy or CO2e has reached its limit."""

from __future__ import annotations

from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.usage import Usage


def over(total: Usage, settings: Settings, epoch: int | None = None) -> str | None:
    """Return a sentence that names the budget that is used up; ``None`` where none is.

    Args:
        total: Usage of the whole job, all its ranks and earlier sessions.
        settings: The budgets: ``max_energy_kwh``, ``max_co2_kg``.
        epoch: Number of the epoch that has just ended.

    Example:
        >>> over(Usage(9.0, {"cpu": 0.512 * 3.6e6}), Settings(max_energy_kwh=0.5), 3)
        'the budget of 0.5 kWh is used up: 0.512 kWh after epoch 3'
    """
    after = "" if epoch is None else f" after epoch {epoch}"
    for limit, used, unit, of in _limits(total, settings):
        if limit is not None and used is not None and used >= limit:
            return f"the budget of {limit:g} {unit}{of} is used up: {used:.3g} {unit}{after}"
    return None


def blind(total: Usage, settings: Settings) -> str | None:
    """Return a sentence that names a budget that cannot be enforced, since nothing is measured; else ``None``."""
    for limit, used, unit, of in _limits(total, settings):
        if limit is not None and used is None:
            return f"budget: nothing is measured, so the {limit:g} {unit}{of} stop nothing"
    return None


def _limits(total: Usage, settings: Settings) -> tuple[tuple[float | None, float | None, str, str], ...]:
    """Return the limit of each budget, the usage, its unit, and the text after the unit."""
    return (
        (settings.max_energy_kwh, total.energy_kwh, "kWh", ""),
        (settings.max_co2_kg, total.co2_kg, "kg", " CO2e"),
    )
