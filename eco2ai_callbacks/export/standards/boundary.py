"""What standards are told of runs: whose energy a figure is, how it was found, and the document that holds it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.export.standards.options import Options
from eco2ai_callbacks.report.runs import Run
from eco2ai_callbacks.report.statement import Statement, listed, statement

# Shares that differ by less are the same.
_ROUNDING = 1e-9
NOT_KNOWN = "not known"
IT, FACILITY = "it", "facility"
# The option that all forms have.
OPTION = {
    "boundary": f"'{IT}' (default): the energy that computers used; '{FACILITY}': with the data centre's overhead (PUE)"
}


@dataclass(frozen=True, slots=True)
class Bounded:
    """Runs as a form of a standard states them.

    Args:
        found: What is to be said of the runs.
        boundary: ``it`` or ``facility``.
        factor: What IT energy is multiplied by: 1, or the data centre's overhead.
    """

    found: Statement
    boundary: str
    factor: float

    @property
    def energy_kwh(self) -> float:
        """Energy in the boundary."""
        return (self.found.sum.energy_kwh or 0.0) * self.factor

    @property
    def band_kwh(self) -> tuple[float, float] | None:
        """The energy's band in the boundary; ``None`` where it is not known."""
        band = self.found.sum.energy_band_kwh
        return None if band is None else (band[0] * self.factor, band[1] * self.factor)

    @property
    def kind(self) -> str:
        """Whether the energy is measured, estimated, or in part both; ``not known`` where another tool counted it."""
        share = self.found.read_share or 0.0
        if not share and self.found.sum.measured_share is None:
            return NOT_KNOWN
        if share > 1 - _ROUNDING:
            return "measured"
        return "partly measured" if share else "estimated"

    @property
    def said(self) -> str:
        """The boundary in words."""
        if self.boundary == IT:
            return "IT energy, without the data centre's overhead (PUE)"
        return f"energy with the data centre's overhead (PUE {self.found.pue:g})"

    @property
    def basis(self) -> list[str]:
        """How the figures were found, and what they leave out, one sentence each."""
        found = self.found
        share = "" if found.sum.measured_share is None else f" ({found.sum.measured_share:.0%} by hardware counters)"
        unknown = self.kind == NOT_KNOWN
        said = "whether it is measured or estimated is not known" if unknown else f"it is {self.kind}"
        parts = [
            f"Energy is {self.said}; {said}{share}.",
            f"Band: {found.energy} of IT energy." if self.band_kwh else "",
            f"Method: {found.said_methods}." if found.methods else "",
            f"CO2e is location-based, with {found.said_factors} and PUE {found.said_pue}." if found.factors else "",
            found.scope,
            *found.cautions,
            f"Source: {listed(found.software)}.",
        ]
        return [part for part in parts if part]


def bounded(runs: Sequence[Run], options: Options) -> Bounded:
    """Return runs in the boundary that the option ``boundary`` names.

    Args:
        runs: The runs.
        options: The options of the form.

    Raises:
        SettingsError: Nothing was measured, or the boundary cannot be had.
    """
    found = statement(runs)
    if found.sum.energy_kwh is None:
        raise SettingsError("nothing was measured in these runs, so there is no energy to state.")
    boundary = options.choice("boundary", (IT, FACILITY)) or IT
    if boundary == FACILITY and found.pue is None:
        said = f"several PUEs ({found.said_pue})" if found.said_pue else "no PUE"
        raise SettingsError(f"boundary='{FACILITY}' cannot be stated: the runs have {said}; accepted is '{IT}'.")
    return Bounded(found, boundary, (found.pue or 1.0) if boundary == FACILITY else 1.0)


def asked(
    form: str, runs: Sequence[Run], given: Mapping[str, str], known: Mapping[str, str]
) -> tuple[Options, Bounded]:
    """Return what each form begins with: its options, and the runs in the boundary that these name.

    Args:
        form: Name of the form.
        runs: The runs.
        given: The options by name.
        known: What each option is.

    Raises:
        SettingsError: An option is not known, nothing was measured, or the boundary cannot be had.
    """
    options = Options(form, given, known)
    return options, bounded(runs, options)


def in_json(values: Mapping[str, object]) -> str:
    """Return a document as JSON for people and programs."""
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of values: a document leaves the rest out."""
    return {name: value for name, value in values.items() if value is not None}


def name_of(found: Statement, options: Options) -> str:
    """Return the model's name: the option ``name``, else the one project of the runs.

    Raises:
        SettingsError: There is no such name.
    """
    projects = {run.project for run in found.runs if run.project}
    return options.text("name") or (projects.pop() if len(projects) == 1 else options.needed("name"))


def document_id(found: Statement, form: str) -> uuid.UUID:
    """Return an id that is the same for the same runs in the same form."""
    return uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(["eco2ai-callbacks", form, *sorted(run.id for run in found.runs)]))


def now() -> datetime:
    """Return the time at which a document is made, in UTC."""
    return datetime.now(UTC).replace(microsecond=0)
