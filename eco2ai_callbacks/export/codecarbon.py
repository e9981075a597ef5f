"""Runs as CodeCarbon's ``emissions.csv``, one row each."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from eco2ai_callbacks.carbon import places
from eco2ai_callbacks.report.formats import no_formula
from eco2ai_callbacks.report.runs import Run, Runs, of_portions
from eco2ai_callbacks.report.stated import Factor
from eco2ai_callbacks.report.sums import Sum
from eco2ai_callbacks.usage import kwh

OPTIONS: dict[str, str] = {}

# The fields of EmissionsData in their order, CodeCarbon 3.3.2 (codecarbon/output_methods/emissions_data.py).
COLUMNS = (
    *("timestamp", "project_name", "run_id", "experiment_id", "duration", "emissions", "emissions_rate"),
    *("cpu_power", "gpu_power", "ram_power", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed"),
    *("water_consumed", "country_name", "country_iso_code", "region", "cloud_provider", "cloud_region", "os"),
    *("python_version", "codecarbon_version", "cpu_count", "cpu_model", "gpu_count", "gpu_model", "longitude"),
    *("latitude", "ram_total_size", "tracking_mode", "cpu_utilization_percent", "gpu_utilization_percent"),
    *("ram_utilization_percent", "ram_used_gb", "on_cloud", "pue", "wue"),
)
_COMPONENTS = ("cpu", "gpu", "ram")
# How records begin to say whose energy a channel holds, and CodeCarbon's word for it.
_MODES = {"job's process tree": "process", "whole machine": "machine"}


def write(runs: Runs, options: Mapping[str, str]) -> str:
    """Return the file's text. What is not known is empty, and what a run around one includes has no row.

    Args:
        runs: The runs.
        options: None.
    """
    del options
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for run in runs:
        if run.counted:
            row = {name: no_formula(value) if isinstance(value, str) else value for name, value in _row(run).items()}
            writer.writerow(row)
    return stream.getvalue()


def _row(run: Run) -> Mapping[str, Any]:
    used = of_portions(run.counted)
    ended = run.ended
    factor = run.factors[-1] if run.factors else Factor(None)
    version = run.versions[-1] if run.versions else ""
    row: dict[str, Any] = {
        "timestamp": "" if ended is None else ended.astimezone().strftime("%Y-%m-%dT%H:%M:%S"),
        "project_name": run.project,
        "run_id": run.id,
        "experiment_id": run.description,
        "duration": used.seconds,
        "emissions": used.co2_kg,
        "emissions_rate": used.co2_kg / used.seconds if used.co2_kg is not None and used.seconds > 0 else None,
        "codecarbon_version": f"eco2ai-callbacks {version}" if version[:1].isdigit() else version,
        "gpu_count": len([channel for channel in used.joules if channel.startswith("gpu:")]) or None,
        "tracking_mode": _mode(run),
        "pue": factor.pue,
    }
    return {**row, **_energies(used, factor.pue), **_place(factor)}


def _energies(used: Sum, pue: float) -> Mapping[str, Any]:
    """Return energy and mean power with the data centre's overhead, as CodeCarbon states them."""
    total = used.energy_kwh
    found: dict[str, Any] = {"energy_consumed": None if total is None else total * pue}
    components = used.components
    for name in _COMPONENTS:
        if name in components:
            found[f"{name}_energy"] = kwh(components[name]) * pue
            found[f"{name}_power"] = components[name] / used.seconds * pue if used.seconds > 0 else None
    return found


def _place(factor: Factor) -> Mapping[str, str]:
    """Return the place in CodeCarbon's words; its name alone where no table has it."""
    if not places.exists(factor.region):
        return {"country_name": factor.name}
    spot = places.place(factor.region)
    around = {each.level: each for each in reversed(places.chain(spot))}
    country = around.get("country")
    part = around.get("subdivision")
    provider, sign, region = spot.id.partition(":")
    is_cloud = bool(sign) and spot.level == "region"
    return {
        "country_name": spot.name if country is None else country.name,
        "country_iso_code": "" if country is None else places.alpha3(country.id),
        "region": "" if part is None else part.name,
        "cloud_provider": provider if is_cloud else "",
        "cloud_region": region if is_cloud else "",
        "on_cloud": "Y" if is_cloud else "N",
    }


def _mode(run: Run) -> str:
    stated = (run.attribution.get(channel, "").partition(",")[0] for channel in ("cpu", "ram"))
    return next((_MODES[each] for each in stated if each in _MODES), "")
