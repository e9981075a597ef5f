"""What a reader must know of figures beside energy and CO2e: where each is from, and that it is no part of them."""

from __future__ import annotations

from collections.abc import Iterator

from eco2ai_callbacks.calibration.lookup import by_component
from eco2ai_callbacks.report.of_record import WATER
from eco2ai_callbacks.report.runs import Run, Runs
from eco2ai_callbacks.report.stated import Basis
from eco2ai_callbacks.usage import JOULES_PER_KWH

_TITLES = (
    (WATER, "water"),
    (("embodied_co2_kg",), "embodied CO2e"),
    (("market_co2_kg",), "market-based CO2e"),
    (("wall_kwh",), "energy at the wall"),
    (("above_idle_kwh",), "energy above idle"),
)


def beside_notes(runs: Runs) -> list[str]:
    """Return the notes, each once."""
    found = [note for run in runs for basis in run.bases for note in (*_factors(basis), *_wall(run, basis))]
    return [*dict.fromkeys(found), *_partly(runs)]


def _partly(runs: Runs) -> Iterator[str]:
    """Return a note for each figure that only some of the runs have: its sum is not that of all energy."""
    counted = [run.sum.beside for run in runs if run.counts]
    for names, title in _TITLES:
        having = sum(any(name in beside for name in names) for beside in counted)
        if 0 < having < len(counted):
            yield f"{title}: {having} of {len(counted)} runs have a figure, and the total holds theirs alone"


def _factors(basis: Basis) -> Iterator[str]:
    water = []
    if basis.wue is not None:
        source = basis.wue_source or "a source that is not stated"
        water.append(f"on site {basis.wue:g} L for each kWh of the machines by {source}")
    elif basis.wue_source:
        water.append(f"on site not known, for {basis.wue_source}")
    if basis.water_intensity is not None:
        water.append(f"off site {basis.water_intensity:g} L for each kWh from the grid (the user's figure)")
    if water:
        yield f"water: {', '.join(water)}"
    if basis.embodied_kg is not None and basis.lifetime_h:
        share = 1.0 if basis.embodied_share is None else basis.embodied_share
        yield (
            f"embodied: {share:.3g} of {basis.embodied_kg:g} kg CO2e for making the machine, spread over "
            f"{basis.lifetime_h:g} h (the user's figures); no part of CO2e"
        )
    if basis.market_intensity is not None:
        label = basis.market_label or "an unnamed contract"
        yield (
            f"market-based: {basis.market_intensity:g} g/kWh by {label}; a figure of a contract, beside the "
            "location-based CO2e and never in its place"
        )
    if basis.idle_w is not None and basis.idle_s is not None:
        yield (
            f"above idle: the energy beyond {basis.idle_w:.3g} W, which the same sources counted for "
            f"{basis.idle_s:.3g} s before the run; a part of the energy, and never in its place"
        )


def _wall(run: Run, basis: Basis) -> Iterator[str]:
    fit = basis.wall
    if fit is None:
        return
    yield (
        f"at the wall: {fit.base_w:.0f} W + {fit.slope:.2f} x measured, within {fit.band:.0%}, by this machine's "
        "calibration; beside the energy of the components"
    )
    if "wall_kwh" not in run.sum.beside or run.sum.energy_kwh is None:
        return
    methods = by_component({channel: "+".join(sorted(names)) for channel, names in run.methods.items()})
    energy = fit.energy(run.sum.energy_kwh * JOULES_PER_KWH, run.sum.seconds, methods)
    if energy is not None and energy.warning:
        yield f"at the wall in run {run.id}: {energy.warning}"
