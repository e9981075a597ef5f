"""The forms that logs are exported in: one module each, which is imported when its form is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from eco2ai_callbacks.report.load import Progress
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.select import Selection


class NotExported(ValueError):
    """Why logs were not exported, in one sentence."""


def nothing(selection: Selection) -> NotExported:
    """Return the error of a selection without any record."""
    return NotExported(f"LOG={selection.names[0]!r} holds no record, so there is nothing to export.")


class Takes(Enum):
    """What a form's module gets, and what it returns."""

    TEXT = "text"
    """``write(runs, options) -> str``: the file's text, from runs."""
    FILE = "file"
    """``write(logs, options, file, progress) -> Runs``: writes the file, record by record, and returns the runs."""
    SENT = "sent"
    """``write(runs, options) -> str``: sends runs over the network, and returns one line on what was sent."""


class TextForm(Protocol):
    """The module of a form that is a text, or that is sent."""

    @property
    def OPTIONS(self) -> Mapping[str, str]:  # noqa: N802 - a constant of the module
        """What ``--set`` accepts: the meaning of each key."""

    def write(self, runs: Runs, options: Mapping[str, str]) -> str:
        """Return the text.

        Raises:
            NotExported: An option is missing, or its value is not accepted.
            SettingsError: The same, as one sentence without the form's name.
        """


class FileForm(Protocol):
    """The module of a form that is written record by record."""

    @property
    def OPTIONS(self) -> Mapping[str, str]:  # noqa: N802 - a constant of the module
        """What ``--set`` accepts: the meaning of each key."""

    def write(self, logs: Selection, options: Mapping[str, str], file: Path, progress: Progress | None = None) -> Runs:
        """Write the file, which does not exist, and return the runs.

        The logs are read twice, and ``progress`` is called with the bytes that were read.

        Raises:
            NotExported: An option's value is not accepted, or there is no record.
        """


@dataclass(frozen=True, slots=True)
class Form:
    """A form that logs are exported in.

    Args:
        name: Its name on the command line.
        summary: What it is, in one line.
        module: The module that writes it, by its dotted path. It declares ``OPTIONS``, what ``--set`` accepts by name
            with the meaning of each, and the function that :class:`Takes` names.
        extra: The extra of this package that it needs; empty for none.
        suffix: The suffix of its files.
        takes: What its module gets.
    """

    name: str
    summary: str
    module: str
    extra: str = ""
    suffix: str = ".json"
    takes: Takes = Takes.TEXT

    @property
    def readings(self) -> int:
        """How often logs are read for it: a file of records needs to know of each whether it counts."""
        return 2 if self.takes is Takes.FILE else 1

    def load(self) -> Any:
        """Return the module.

        Raises:
            NotExported: The extra is not installed.
        """
        try:
            return importlib.import_module(self.module)
        except ImportError as error:
            if not self.extra or (error.name or "").startswith("eco2ai_callbacks"):
                raise
            raise NotExported(
                f'--format {self.name} needs the package {error.name}: pip install "eco2ai_callbacks[{self.extra}]".'
            ) from None


_HERE = "eco2ai_callbacks.export"
_STANDARDS = f"{_HERE}.standards"
# A new form is one more line.
FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form(
            "parquet",
            "One row a record, for DuckDB, Spark, BigQuery.",
            f"{_HERE}.parquet",
            "parquet",
            ".parquet",
            Takes.FILE,
        ),
        Form("prometheus", "Counters for node_exporter's textfile collector.", f"{_HERE}.prometheus", suffix=".prom"),
        Form("otel", "OpenTelemetry metrics, sent to a collector.", f"{_HERE}.otel", "otel", "", Takes.SENT),
        Form("codecarbon", "CodeCarbon's emissions.csv.", f"{_HERE}.codecarbon", suffix=".csv"),
        Form("eco2ai", "eco2AI's CSV of 13 columns.", f"{_HERE}.eco2ai", suffix=".csv", takes=Takes.FILE),
        Form("boamps", "BoAmps 1.1, a report of an AI task's energy.", f"{_STANDARDS}.boamps"),
        Form("cyclonedx", "CycloneDX 1.7, energy in an ML-BOM.", f"{_STANDARDS}.cyclonedx", suffix=".cdx.json"),
        Form("spdx", "SPDX 3.0.1, AI profile.", f"{_STANDARDS}.spdx", suffix=".spdx.json"),
        Form("ai-act", "EU AI Act, Annex XI, as JSON or Markdown.", f"{_STANDARDS}.ai_act"),
        Form("sci", "Software Carbon Intensity, ISO/IEC 21031.", f"{_STANDARDS}.sci"),
    )
}


def checked(module: TextForm | FileForm, form: Form, given: Mapping[str, str]) -> Mapping[str, str]:
    """Return the options of a form.

    Args:
        module: The form's module.
        form: The form.
        given: Values by key.

    Raises:
        NotExported: The form has no option of a name.
    """
    known = module.OPTIONS
    for name, value in given.items():
        if name not in known:
            accepted = f"accepted are {', '.join(known)}" if known else f"--format {form.name} has no options"
            raise NotExported(f"--set {name}={value!r} is no option of --format {form.name}; {accepted}.")
    return given
