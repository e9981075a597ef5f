"""The schema of the settings: name, default, meaning and form of each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path

from eco2ai_callbacks.settings import forms
from eco2ai_callbacks.settings.beside import BesideSettings
from eco2ai_callbacks.settings.entry import Entry
from eco2ai_callbacks.settings.entry import entry as _entry
from eco2ai_callbacks.settings.forms import Form

LOG_NAME = "eco2ai.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(BesideSettings):
    """The settings in force. Use :func:`resolve` to build them: it reads all sources and checks every value.

    To add a setting, add its field here and its keyword to ``SettingsArgs``. Options of ``eco2ai run``, help
    texts, variables and tables follow from the field.
    """

    project: str = field(
        default="default",
        metadata=_entry("Name under which runs are grouped.", forms.text("a text that is not empty"), command=True),
    )
    description: str = field(
        default="", metadata=_entry("Free text for the records.", forms.text("a text", empty=True), command=True)
    )
    log_file: Path | None = field(
        default=Path(LOG_NAME),
        metadata=_entry(
            "The run log, a JSON Lines file.", forms.path("a path, or None for no file", none=True), command=True
        ),
    )
    csv_file: Path | None = field(
        default=None,
        metadata=_entry(
            "A CSV file with eco2AI's columns (its kWh include PUE).",
            forms.path("a path, or None for no file", none=True),
            command=True,
        ),
    )
    prometheus_file: Path | None = field(
        default=None,
        metadata=_entry(
            "A file with Prometheus's counters, replaced at each mark and heartbeat.",
            forms.path("a path, or None for no file", none=True),
            command=True,
        ),
    )
    otel: bool = field(
        default=False,
        metadata=_entry(
            "Whether counters are sent to an OpenTelemetry collector; OTEL_EXPORTER_OTLP_ENDPOINT says where.",
            forms.flag(),
            command=True,
        ),
    )
    console: bool = field(default=True, metadata=_entry("Whether one line is printed after a run.", forms.flag()))
    scalars: str = field(
        default="basic",
        metadata=_entry(
            "Which scalars are logged; 'all' adds power, components, and joules per sample and token.",
            forms.choice("basic", "all"),
        ),
    )
    units: str = field(
        default="kWh",
        metadata=_entry(
            "Units of the scalars, which are part of their names: kWh and kg of CO2e, or Wh and g.",
            forms.choice("kWh", "Wh"),
        ),
    )
    prog_bar: bool = field(
        default=False,
        metadata=_entry(
            "Whether Lightning's progress bar shows the scalars too, and Keras's the epoch's energy and CO2.",
            forms.flag(),
        ),
    )
    region: str | None = field(
        default=None,
        metadata=_entry(
            "Where the machine is: ISO 3166-1 or 3166-2, a cloud region, a unique name; None finds it offline.",
            forms.text(
                "a country (FR, FRA, France), a subdivision (US-CA), a cloud region (aws:eu-west-3) or None", none=True
            ),
            command=True,
        ),
    )
    g_per_kwh: float | None = field(
        default=None,
        metadata=_entry(
            "Your own carbon intensity; None takes the table's.",
            forms.number("a number from 0 to 5000, in grams of CO2e per kWh, or None", 0.0, 5000.0, none=True),
            command=True,
        ),
    )
    intensity: Path | str | Callable[[datetime], float | None] | None = field(
        default=None,
        metadata=_entry(
            "Carbon intensity over time: a file, a function or a live source; None is one figure at all times.",
            forms.over_time(),
            command=True,
        ),
    )
    intensity_kind: str = field(
        default="best",
        metadata=_entry(
            "Kind of the emission factor; 'best' takes that of the smallest place that has one.",
            forms.choice("best", "lifecycle", "direct"),
            command=True,
        ),
    )
    intensity_year: int | None = field(
        default=None,
        metadata=_entry(
            "Year of the emission factor; None takes the newest that is not later than the run.",
            forms.integer("a year from 1990 to 2100, or None", 1990, 2100, none=True),
            command=True,
        ),
    )
    pue: float | str = field(
        default=1.0,
        metadata=_entry(
            "Overhead of the data centre (PUE); 'provider' takes what the cloud provider publishes.",
            forms.number_or("provider", forms.number("a number from 1 to 10", 1.0, 10.0)),
            command=True,
        ),
    )
    price: float | Mapping[str, float] | None = field(
        default=None,
        metadata=_entry(
            "Money per kWh, also by hours; JSON in a variable or on a command line.", forms.price(), command=True
        ),
    )
    scope: str = field(
        default="process",
        metadata=_entry(
            "Whose energy is counted: that of the job's process tree, or of the whole machine.",
            forms.choice("process", "machine"),
            command=True,
        ),
    )
    gpus: str | tuple[int | str, ...] = field(
        default="auto",
        metadata=_entry("Which GPUs are counted; 'auto' counts those that the job uses.", forms.gpus(), command=True),
    )
    cpu_model: str = field(
        default="auto",
        metadata=_entry(
            "How the CPU's energy is found; 'paper' uses eco2AI's TDP times utilisation.",
            forms.choice("auto", "paper"),
            command=True,
        ),
    )
    cpu_tdp_w: float | None = field(
        default=None,
        metadata=_entry(
            "Thermal design power of one processor; None takes the table's.",
            forms.number("a number above 0, in watts, or None", 0.0, above=True, none=True),
            command=True,
        ),
    )
    cpu_threads: int | None = field(
        default=None,
        metadata=_entry(
            "Hardware threads of one processor; None takes what is found.",
            forms.integer("a whole number from 1, or None", 1, none=True),
            command=True,
        ),
    )
    ram_w_per_gib: float = field(
        default=0.375,
        metadata=_entry(
            "Power of the job's memory where nothing measures it.",
            forms.number("a number of 0 or more, in watts per GiB", 0.0),
            command=True,
        ),
    )
    powercap_root: Path = field(
        default=Path("/sys/class/powercap"),
        metadata=_entry("Where Linux shows its RAPL counters.", forms.path("a folder"), command=True),
    )
    sample_s: float = field(
        default=0.5,
        metadata=_entry(
            "Time between two samples where only power can be read.",
            forms.number("a number from 0.01 to 60, in seconds", 0.01, 60.0),
            command=True,
        ),
    )
    heartbeat_s: float = field(
        default=60.0,
        metadata=_entry(
            "Longest time whose figures a SIGKILL can cost.",
            forms.number("a number of 0 (off) or from 0.1, in seconds", 0.1, off=True),
            command=True,
        ),
    )
    every_n_steps: int = field(
        default=0,
        metadata=_entry(
            "Training steps after which a row of energy, power and joules per step is logged; 0 logs epochs only.",
            forms.integer("a whole number of 0 (off) or more, in steps", 0),
        ),
    )
    forecast_after: int = field(
        default=2,
        metadata=_entry(
            "Epochs after which the rest of the run is forecast.",
            forms.integer("a whole number of 0 (off) or more, in epochs", 0),
        ),
    )
    max_energy_kwh: float | None = field(
        default=None,
        metadata=_entry(
            "Energy budget; the run is stopped when it is used up.",
            forms.number("a number above 0, in kWh, or None", 0.0, above=True, none=True),
        ),
    )
    max_co2_kg: float | None = field(
        default=None,
        metadata=_entry(
            "CO2e budget; the run is stopped when it is used up.",
            forms.number("a number above 0, in kg, or None", 0.0, above=True, none=True),
        ),
    )
    sync_gpu: bool = field(
        default=True, metadata=_entry("Whether CUDA work is finished before a mark is read.", forms.flag())
    )
    run_id: str | None = field(
        default=None,
        metadata=_entry(
            "Id of a run to continue; None starts a new one.",
            forms.text("the id of a run, letters, digits, '-' and '_', or None", pattern=r"[\w-]{1,64}", none=True),
            command=True,
        ),
    )
    origin: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __hash__(self) -> int:
        price = frozenset(self.price.items()) if isinstance(self.price, Mapping) else self.price
        # A function may have no hash.
        return hash((price, *(getattr(self, name) for name in NAMES if name not in ("price", "intensity"))))


# A dataclass has the fields of its base first; the settings about other figures follow those about energy and CO2e.
_ENTRIES: Mapping[str, Entry] = {
    f.name: f.metadata["setting"]
    for f in sorted(fields(Settings), key=lambda f: f.name in BesideSettings.__dataclass_fields__)
    if f.metadata
}
NAMES = tuple(_ENTRIES)
COMMAND_NAMES = tuple(name for name, entry in _ENTRIES.items() if entry.command)
"""The settings that make sense for ``eco2ai run``; the others are about epochs."""

# For `help()`: the meanings have one place, the fields.
Settings.__doc__ = "\n".join(
    [
        f"{inspect.cleandoc(Settings.__doc__ or '')}\n\nArgs:",
        *(f"    {name}: {entry.meaning}" for name, entry in _ENTRIES.items()),
        "    origin: Where each value came from, by name.",
    ]
)


def accepted(name: str) -> str:
    """Return what a setting accepts, in words."""
    return _ENTRIES[name].form.accepted


def describe(name: str) -> str:
    """Return the meaning of a setting, in one sentence.

    Example:
        >>> describe("project")
        'Name under which runs are grouped.'
    """
    return _ENTRIES[name].meaning


def form_of(name: str) -> Form | None:
    """Return the form of a setting; ``None`` where no setting has the name."""
    entry = _ENTRIES.get(name)
    return None if entry is None else entry.form
