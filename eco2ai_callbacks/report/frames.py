"""Epochs as a data frame of pandas or Polars, whichever is there."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from eco2ai_callbacks.report.epoch_table import Epoch
from eco2ai_callbacks.usage import kwh

_KINDS = ("pandas", "polars")


def epoch_row(epoch: Epoch, **run: object) -> dict[str, Any]:
    """Return an epoch as one row: fixed columns, then components, stages and metrics.

    Args:
        epoch: The epoch.
        run: Columns of its run, which come first.
    """
    energy, co2 = epoch.sum.energy_band_kwh or (None, None), epoch.sum.co2_band_kg or (None, None)
    fixed = {
        **run,
        "epoch": epoch.epoch,
        "attempt": epoch.attempt,
        "started": epoch.started,
        "seconds": epoch.seconds,
        "energy_kwh": epoch.energy_kwh,
        "energy_low_kwh": energy[0],
        "energy_high_kwh": energy[1],
        "co2_kg": epoch.co2_kg,
        "co2_low_kg": co2[0],
        "co2_high_kg": co2[1],
        "cost": epoch.sum.cost,
        "power_w": epoch.sum.power_w,
        "measured_share": epoch.sum.measured_share,
        "samples": epoch.samples,
        "tokens": epoch.tokens,
    }
    parts = {f"{name}_kwh": kwh(joules) for name, joules in epoch.sum.components.items()}
    stages = {f"{name}_kwh": kwh(stage.joules) for name, stage in epoch.stages.items()}
    metrics = {f"metrics/{name}": value for name, value in epoch.metrics.items()}
    return {**fixed, **parts, **stages, **metrics}


def frame(rows: Iterable[Mapping[str, Any]], kind: str | None = None) -> Any:
    """Return rows as a data frame; a column that a row lacks is null there.

    Args:
        rows: The rows.
        kind: ``pandas`` or ``polars``; by default pandas where it is installed, else Polars.

    Raises:
        ImportError: The package is not installed.
        ValueError: There is no such kind.
    """
    if kind is not None and kind not in _KINDS:
        raise ValueError(f"kind={kind!r} is no kind of data frame; accepted are {' and '.join(map(repr, _KINDS))}.")
    found = list(rows)
    names: dict[str, None] = {}
    for row in found:
        names |= dict.fromkeys(row)
    # A metric that only some epochs have stays behind what all have.
    ordered = sorted(names, key=lambda name: name.startswith("metrics/"))
    columns = {name: [row.get(name) for row in found] for name in ordered}
    for each in (kind,) if kind else _KINDS:
        try:
            package: Any = importlib.import_module(each)
        except ImportError:
            continue
        return package.DataFrame(columns)
    raise ImportError(f'to_frame() needs {kind or "pandas or Polars"}: pip install "eco2ai_callbacks[frames]".')
