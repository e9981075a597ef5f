"""A session's figures beside energy and CO2e, for its records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eco2ai_callbacks.calibration.places import default_files
from eco2ai_callbacks.carbon.beside import Beside, beside_for
from eco2ai_callbacks.carbon.grid import Grid
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.meter import Meter, model_check_of
from eco2ai_callbacks.record import ADDING_EVENTS
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.usage import Usage, kwh

if TYPE_CHECKING:
    from eco2ai_callbacks.calibration.wall import WallFit
    from eco2ai_callbacks.session.baseline import Baseline


class BesideFigures:
    """The figures beside of one session's records.

    Args:
        factors: What they are computed with.
        wall: The machine's calibration of the power at the wall; ``None`` where there is none, or the session measures
            less than the machine.
        sci_unit: The functional unit of the SCI score; ``None`` computes none.
        model_check: Returns what the model would have said beside the counters.
    """

    def __init__(
        self,
        factors: Beside,
        *,
        wall: WallFit | None = None,
        sci_unit: str | None = None,
        model_check: Callable[[], Mapping[str, Any] | None] = lambda: None,
    ) -> None:
        self._factors = factors
        self._wall = wall
        self._sci_unit = sci_unit
        self._model_check = model_check
        self._baseline: Baseline | None = None
        wall_facts = None if wall is None else {"wall": wall.to_dict()}
        self.basis: Mapping[str, Any] | None = (factors.facts() or {}) | (wall_facts or {}) or None
        self._grams = self._embodied_kg = 0.0
        self._epochs = 0
        self._samples = self._tokens = 0.0

    def above(self, baseline: Baseline) -> BesideFigures:
        """Return these figures with the energy above a baseline.

        Args:
            baseline: What the session's channels use while the machine waits.
        """
        self._baseline = baseline
        self.basis = {**(self.basis or {}), "baseline": baseline.to_dict()}
        return self

    def fields(self, event: str, usage: Usage, stated: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a record.

        Args:
            event: The record's event.
            usage: Usage in its segment.
            stated: What else it states: samples and tokens.
        """
        found: dict[str, Any] = {}
        if self.basis is not None:
            beside = self._factors.figures(usage.energy_kwh, usage.seconds)
            if self._wall is not None and usage.total_j is not None and usage.seconds > 0:
                # Linear in time and energy, so that the parts of a run add up to it.
                beside["wall_kwh"] = kwh(self._wall.watts(usage.total_j / usage.seconds) * usage.seconds)
            if self._baseline is not None and (above_j := self._baseline.above_j(usage)) is not None:
                beside["above_idle_kwh"] = kwh(above_j)
            if beside:
                found["beside"] = beside
        if self._sci_unit is not None and event in ADDING_EVENTS:
            self._grams += usage.grams or 0.0
            self._embodied_kg += found.get("beside", {}).get("embodied_co2_kg", 0.0)
            self._epochs += event == "epoch"
            self._samples += stated.get("samples") or 0
            self._tokens += stated.get("tokens") or 0
        if event == "stop":
            found["sci"] = self._score()
            found["model_check"] = self._model_check()
        return found

    def _score(self) -> dict[str, Any] | None:
        unit = self._sci_unit
        if unit is None:
            return None
        from eco2ai_callbacks.metrics import sci  # where the setting asks for a score

        units = sci.units_of(unit, epochs=self._epochs, samples=self._samples, tokens=self._tokens)
        return sci.score(unit, units, Usage(grams=self._grams).co2_kg, self._embodied_kg)


def beside_figures(
    settings: Settings,
    host: Callable[[], Host],
    grid: Grid,
    cpu_name: str,
    meters: Sequence[Meter],
    ranks: int,
    guard: Guard,
) -> BesideFigures:
    """Return what computes a session's figures beside energy and CO2e.

    Args:
        settings: The settings in force.
        host: Returns the machine's facts; called only where they are needed.
        grid: Carbon intensity, PUE and price.
        cpu_name: The processor's name.
        meters: The meters that the session reads.
        ranks: Number of the job's processes on this machine.
        guard: Records failures.
    """
    region = grid.intensity.region if grid.intensity.found_by != "unknown" else ""
    # A job's part of the machine, or one rank's, says nothing of the whole machine's plug.
    whole = settings.scope == "machine" and ranks == 1
    wall = guard.call("calibration", lambda: _wall_fit(host()), None) if whole else None

    def model_check() -> Mapping[str, Any] | None:
        found = next(filter(None, map(model_check_of, meters)), None)
        return None if found is None else {"cpu": cpu_name, **found}

    return BesideFigures(
        beside_for(settings, region, grid.pue, ranks),
        wall=wall,
        sci_unit=settings.sci_unit,
        model_check=lambda: guard.call("model check", model_check, None),
    )


def _wall_fit(host: Host) -> WallFit | None:
    # Under lxcfs or in a sandbox what is measured is not the machine's.
    if host.lxcfs or host.sandbox or not any(file.exists() for file in default_files()):
        return None
    from eco2ai_callbacks.calibration.lookup import wall_fit
    from eco2ai_callbacks.calibration.machine import read_machine

    return wall_fit(read_machine(host))
