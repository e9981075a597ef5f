"""Look up what the stores hold for this machine: the energy at the wall, and the state of its calibrations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path

from eco2ai_callbacks.calibration.fit import CpuFit
from eco2ai_callbacks.calibration.machine import Machine
from eco2ai_callbacks.calibration.store import OLD_DAYS, Entry, Found, Kind, choose, read
from eco2ai_callbacks.calibration.wall import WallEnergy, WallFit
from eco2ai_callbacks.usage import component_of


def wall_energy(
    measured_j: float,
    seconds: float,
    methods: Mapping[str, str],
    machine: Machine,
    files: Iterable[Path] | None = None,
) -> WallEnergy | None:
    """Return the energy at the wall of a run of the whole machine; ``None`` without a calibration that matches.

    It belongs beside the energy of the components, and never in its place.

    Args:
        measured_j: Joules of all measured components.
        seconds: The run's duration.
        methods: The method of each channel.
        machine: The machine, as :func:`~eco2ai_callbacks.calibration.machine.read_machine` returns it.
        files: The stores; the user's and the site's by default.
    """
    fit = wall_fit(machine, files)
    return None if fit is None else fit.energy(measured_j, seconds, by_component(methods))


def wall_fit(machine: Machine, files: Iterable[Path] | None = None) -> WallFit | None:
    """Return a machine's calibration of the power at the wall; ``None`` where none matches.

    Args:
        machine: The machine, as :func:`~eco2ai_callbacks.calibration.machine.read_machine` returns it.
        files: The stores; the user's and the site's by default.
    """
    entry = choose(read(files), "wall", machine).entry
    return entry.fit if entry is not None and isinstance(entry.fit, WallFit) else None


def by_component(methods: Mapping[str, str]) -> dict[str, str]:
    """Return the methods of channels by component, several of one component joined by ``+``.

    Example:
        >>> by_component({"gpu:GPU-a": "nvml-energy", "gpu:GPU-b": "nvml-energy", "cpu": "rapl"})
        {'gpu': 'nvml-energy', 'cpu': 'rapl'}
    """
    found: dict[str, set[str]] = {}
    for channel, method in methods.items():
        found.setdefault(component_of(channel), set()).add(method)
    return {component: "+".join(sorted(names)) for component, names in found.items()}


def state(found: Found, machine: Machine, today: date) -> Iterator[str]:
    """Return one line for each kind of calibration of this machine, and for each damaged line of a store.

    Args:
        found: What the stores hold.
        machine: The machine as it is.
        today: The day, for the age.
    """
    kinds: tuple[Kind, ...] = ("cpu", "wall")
    for kind in kinds:
        choice = choose(found, kind, machine)
        command = f"'eco2ai calibrate {kind}'"
        if choice.entry is not None:
            days = (today - choice.entry.day).days
            old = f"; over {OLD_DAYS} days old: run {command} again" if days > OLD_DAYS else ""
            yield f"{kind}: {_described(choice.entry)}, {_age(days)}, {choice.entry.file}{old}"
        elif choice.stale is not None:
            day = choice.stale.day.isoformat()
            yield f"{kind}: that of {day} is not used: {', '.join(choice.why)}; run {command} for the machine as it is"
        elif kind == "cpu":
            yield f"cpu: none; {command} makes one where the energy counters can be read, once as root"
    for fault in found.faults:
        yield f"passed over: {fault}"


def _described(entry: Entry) -> str:
    whose = "shared by another machine" if entry.shared else "made"
    fit = entry.fit
    if isinstance(fit, CpuFit):
        within = f"90 % of loads within x{1 / fit.factor:.2f} to x{fit.factor:.2f}"
        return f"{whose} on {entry.day.isoformat()}, {fit.error:.0%} mean error, {within}"
    return (
        f"{whose} on {entry.day.isoformat()}, wall = {fit.base_w:.0f} W + {fit.slope:.2f} x measured, {fit.error:.0%} "
        "median error"
    )


def _age(days: int) -> str:
    return "today" if days == 0 else f"{days} days ago" if days > 0 else f"{-days} days in the future by this clock"
