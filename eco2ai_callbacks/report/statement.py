"""What is to be said of runs where they are published: figures, hardware, methods, factors, and what they leave out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from eco2ai_callbacks.carbon import places
from eco2ai_callbacks.carbon.places import Spot
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.metrics.model_card import hardware, place_name
from eco2ai_callbacks.report.formats import banded
from eco2ai_callbacks.report.groups import some
from eco2ai_callbacks.report.runs import Run, Runs
from eco2ai_callbacks.report.stated import Factor
from eco2ai_callbacks.report.sums import Band, Sum
from eco2ai_callbacks.usage import GRAMS_PER_KG

SOFTWARE = "eco2ai-callbacks"
WH_PER_KWH = 1000.0
# The channel of what a checkpoint carried over.
CARRIED = "carried"
_SECONDS_PER_HOUR = 3600.0
# Names in a sentence; the rest is counted.
_NAMED = 8


@dataclass(frozen=True, slots=True)
class Statement:
    """Runs as a publication states them.

    Args:
        runs: The runs.
        sum: What they used, by the counting rule of all reports.
    """

    runs: tuple[Run, ...]
    sum: Sum

    @property
    def counted(self) -> tuple[Run, ...]:
        """The runs that are part of the sum: not those inside another one of them."""
        return tuple(run for run in self.runs if run.counts)

    @property
    def gpu_hours(self) -> float | None:
        """Hours that GPUs were measured for, over all of them; ``None`` where that is not known."""
        seconds = self.sum.gpu_seconds
        return None if seconds is None else seconds / _SECONDS_PER_HOUR

    @property
    def gpus(self) -> tuple[str, ...]:
        """The names of the GPUs, one for each."""
        found = {uuid: name for run in self.runs for uuid, name in run.devices.items() if name}
        return tuple(found.values())

    @property
    def hardware(self) -> str | None:
        """The GPUs in words; ``None`` where the logs name none."""
        return hardware("", self.gpus)

    @property
    def methods(self) -> tuple[tuple[str, str, bool | None], ...]:
        """Component, measuring method, and whether it reads hardware; ``None`` where another tool states nothing."""
        found = {
            ("+".join(run.covers.get(channel) or (channel.partition(":")[0],)), method, _reads(run, method)): None
            for run in self.runs
            for channel, methods in run.methods.items()
            for method in methods
        }
        return tuple(found)

    @property
    def read_share(self) -> float | None:
        """Energy by methods that read hardware, counters or sensors, / energy; ``None`` where nothing was measured."""
        total, hardware = self.sum.usage.total_j, frozenset[str]().union(*(run.hardware for run in self.runs))
        read = sum(joules for method, joules in self.sum.methods.items() if method in hardware)
        return read / total if total else None

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The carbon intensities, each once."""
        return tuple(dict.fromkeys(f for run in self.runs for f in run.factors if f.g_per_kwh is not None))

    @property
    def g_per_kwh(self) -> float | None:
        """The mean carbon intensity that CO2e was computed with; ``None`` where it is not known."""
        energy, co2, pue = self.sum.energy_kwh, self.sum.co2_kg, self.pue
        return co2 * GRAMS_PER_KG / (energy * pue) if energy and co2 is not None and pue else None

    @property
    def pue(self) -> float | None:
        """The data centre's overhead; ``None`` where runs had several."""
        found = {factor.pue for run in self.runs for factor in run.factors}
        return found.pop() if len(found) == 1 else None

    @property
    def facility_kwh(self) -> float | None:
        """Energy with the data centre's overhead; ``None`` where it is not known."""
        energy, pue = self.sum.energy_kwh, self.pue
        return None if energy is None or pue is None else energy * pue

    @property
    def places(self) -> tuple[str, ...]:
        """Names of the places; a place that is not known is none of them."""
        named = []
        for factor in self.factors:
            spot = spot_of(factor)
            if factor.found_by != "unknown":
                named.append(place_name(factor.region if spot is None else spot.id) or factor.name)
        return tuple(dict.fromkeys(name for name in named if name))

    @property
    def not_covered(self) -> tuple[str, ...]:
        """Hardware that draws power and that no meter read."""
        return tuple(dict.fromkeys(name for run in self.runs for name in run.not_covered))

    @property
    def software(self) -> tuple[str, ...]:
        """What the figures are from, with versions."""
        versions = dict.fromkeys(version for run in self.runs for version in run.versions)
        return tuple(f"{SOFTWARE} {each}" if each[:1].isdigit() else each for each in versions) or (SOFTWARE,)

    @property
    def started(self) -> datetime | None:
        """When the first of them began."""
        return min((run.started for run in self.runs if run.started is not None), default=None)

    @property
    def ended(self) -> datetime | None:
        """When the last of them ended."""
        return max((run.ended for run in self.runs if run.ended is not None), default=None)

    # --- in words -------------------------------------------------------------------------------------------------

    @property
    def energy(self) -> str:
        """Energy with its band."""
        return banded(self.sum.energy_kwh, self.sum.energy_band_kwh, "Wh", WH_PER_KWH)

    @property
    def co2(self) -> str:
        """CO2e with its band."""
        return banded(self.sum.co2_kg, self.sum.co2_band_kg, "g", GRAMS_PER_KG)

    @property
    def said_methods(self) -> str:
        """The methods in words: ``measured: gpu by nvml-energy; estimated: cpu by cpu-model``."""
        kinds = {True: "measured", False: "estimated", None: "by another tool"}
        parts = []
        for kind, name in kinds.items():
            held = [f"{component} by {method}" for component, method, is_read in self.methods if is_read is kind]
            if held:
                parts.append(f"{name}: {listed(held)}")
        return "; ".join(parts)

    @property
    def said_factors(self) -> str:
        """The carbon intensities in words, with dataset, year and kind; one place and source is named once."""
        groups: dict[tuple[str, str, int | None, str], list[float]] = {}
        for each in self.factors:
            assert each.g_per_kwh is not None
            place = f"{each.name or each.region}" + (", place unknown" if each.found_by == "unknown" else "")
            groups.setdefault((place, each.dataset, each.year, each.kind), []).append(each.g_per_kwh)
        return listed(_said_factor(*key, band=(min(found), max(found))) for key, found in groups.items())

    @property
    def said_pue(self) -> str:
        """The data centre's overhead in words."""
        found = sorted({factor.pue for run in self.runs for factor in run.factors})
        return listed(f"{pue:g}" for pue in found)

    @property
    def limits(self) -> tuple[str, ...]:
        """What the figures of reports leave out, one sentence each."""
        return (self.scope, "It is IT energy; CO2e holds the data centre's overhead (PUE).", *self.cautions)

    @property
    def scope(self) -> str:
        """Which components the energy is of, in a sentence."""
        # Joules that a checkpoint held have no component.
        parts = [name for name in self.sum.components if name != CARRIED]
        counted = f"Energy is that of {listed(parts)}; " if parts else ""
        sentence = f"{counted}mainboards, disks, network, power supplies and the manufacture of hardware are not in it."
        return sentence[:1].upper() + sentence[1:]

    @property
    def cautions(self) -> tuple[str, ...]:
        """What limits these figures in particular, one sentence each."""
        sentences = []
        if self.not_covered:
            sentences.append(f"No meter read {listed(self.not_covered)}.")
        if CARRIED in self.sum.components:
            kwh = banded(self.sum.of(CARRIED).energy_kwh, None, "Wh", WH_PER_KWH)
            sentences.append(f"{kwh} of it is from a checkpoint without its log, so its GPU time is not in the hours.")
        missing = [run.id for run in self.counted if len(run.ranks) < run.world_size]
        if missing:
            sentences.append(f"Ranks are missing in {some(missing, 'run')}.")
        shared = [run for run in self.counted if run.shared_with]
        if shared:
            whose = {f"{c.partition(':')[0]} {phrase}": None for run in shared for c, phrase in run.attribution.items()}
            said = f"; counted is: {listed(whose)}" if whose else ""
            sentences.append(
                f"Other runs used the same devices at the time of {some([r.id for r in shared], 'run')}{said}."
            )
        divided = [run.id for run in self.counted if run.siblings]
        if divided:
            sentences.append(
                f"Several runs ran in one process and divide its energy, by threads and time: {some(divided, 'run')}."
            )
        return tuple(sentences)


def statement(runs: Iterable[Run]) -> Statement:
    """Return runs as a publication states them.

    Args:
        runs: The runs; one inside another counts where that one is not among them, whatever else was read with it.
    """
    found = tuple(runs)
    ids = {run.id for run in found}
    return _of(tuple(run if run.within <= ids else replace(run, within=run.within & ids) for run in found))


def per_run(found: Statement) -> Iterator[Statement]:
    """Return each run that counts by itself; together they used what all did."""
    return (_of((run,)) for run in found.counted)


def _of(runs: tuple[Run, ...]) -> Statement:
    return Statement(runs, Runs(runs).sum)


def spot_of(factor: Factor) -> Spot | None:
    """Return the place of a carbon intensity; ``None`` where it is not known, or a name of the user's own."""
    if factor.found_by == "unknown":
        return None
    try:
        return places.place(factor.region) if places.exists(factor.region) else places.resolve(factor.region)
    except SettingsError:
        return None


def _reads(run: Run, method: str) -> bool | None:
    if method in run.hardware:
        return True
    return None if run.sum.measured_share is None else False


def listed(names: Iterable[str]) -> str:
    """Return names as a list in words: ``a, b and c``; many are counted."""
    found = list(names)
    if len(found) > _NAMED:
        return f"{', '.join(found[:_NAMED])} and {len(found) - _NAMED} more"
    return " and ".join(part for part in (", ".join(found[:-1]), *found[-1:]) if part)


def _said_factor(place: str, dataset: str, year: int | None, kind: str, band: Band) -> str:
    low, high = band
    figure = f"{low:.4g}" if f"{low:.4g}" == f"{high:.4g}" else f"{low:.4g} to {high:.4g}"
    origin = ", ".join(part for part in (dataset, str(year) if year else "", kind) if part)
    return f"{figure} g CO2e/kWh{f' for {place}' if place else ''}{f' ({origin})' if origin else ''}"
