"""The settings: one frozen object, where each value came from, and the form that each must have."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import operator
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, SupportsIndex, TypedDict

from eco2ai_callbacks.errors import SettingsError

PREFIX = "ECO2AI_"
# Variables that begin like settings and are none.
OTHER_VARIABLES = frozenset({"ECO2AI_AUTO", "ECO2AI_LOG_KEY"})


class SettingsArgs(TypedDict, total=False):
    """The settings as keyword arguments, for editors and command lines; meanings stand at :class:`Settings`."""

    project: str
    description: str
    log_file: str | os.PathLike[str] | None
    csv_file: str | os.PathLike[str] | None
    console: bool
    scalars: Literal["basic", "all"]
    prog_bar: bool
    region: str | None
    g_per_kwh: float | None
    intensity_kind: Literal["best", "lifecycle", "direct"]
    intensity_year: int | None
    pue: float | Literal["provider"]
    price: float | dict[str, float] | None
    scope: Literal["process", "machine"]
    gpus: str | Sequence[int | str]
    cpu_model: Literal["auto", "paper"]
    cpu_tdp_w: float | None
    cpu_threads: int | None
    ram_w_per_gib: float
    powercap_root: str | os.PathLike[str]
    sample_s: float
    heartbeat_s: float
    forecast_after: int
    max_energy_kwh: float | None
    max_co2_kg: float | None
    sync_gpu: bool
    run_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a tracker is told. Build it with :func:`resolve`, which reads all sources and checks every value.

    Args:
        project: Name under which runs are grouped.
        description: Free text for the records.
        log_file: The run log, a JSON-lines file; ``None`` writes none.
        csv_file: A CSV with eco2AI's columns (its kWh include PUE); ``None`` writes none.
        console: Whether one line is printed after a run.
        scalars: ``basic``, or ``all`` for power, components and joules per sample too.
        prog_bar: Whether the scalars also go to Lightning's progress bar.
        region: Where the machine is: ISO 3166-1 (``FR``, ``FRA``), 3166-2 (``US-CA``), ``aws:eu-west-3`` or a unique
            name; ``None`` finds it without a network.
        g_per_kwh: The user's own carbon intensity, in grams of CO2e per kWh.
        intensity_kind: ``best``, ``lifecycle`` or ``direct``.
        intensity_year: Year of the factor; ``None`` is the newest that is not later than the run.
        pue: Overhead of the data centre, 1 or more, or ``provider`` for what the cloud provider publishes.
        price: Money per kWh, or a mapping of hours (``{"8:00-20:00": 0.2, "20:00-8:00": 0.1}``).
        scope: ``process``: the job's process tree; ``machine``: all of it.
        gpus: ``auto``: those the job uses; ``visible``, ``all``, indices, UUIDs; ``()``: none.
        cpu_model: ``auto``, or ``paper`` for eco2AI's TDP x utilisation.
        cpu_tdp_w: Thermal design power of one processor in watts, in place of the table's.
        cpu_threads: Hardware threads of one processor, in place of what is found.
        ram_w_per_gib: Watts per GiB of the job's memory where nothing measures it.
        powercap_root: Where Linux shows its RAPL counters.
        sample_s: Seconds between two samples where only power can be read.
        heartbeat_s: Longest stretch in seconds that a SIGKILL can cost; 0 turns it off.
        forecast_after: Epochs after which the rest of the run is forecast; 0 turns it off.
        max_energy_kwh: Energy that stops the run.
        max_co2_kg: CO2e that stops the run.
        sync_gpu: Whether CUDA work is finished before a mark is read.
        run_id: Id of a run to continue.
        origin: Where each value came from, by name.
    """

    project: str = "default"
    description: str = ""
    log_file: Path | None = Path("eco2ai.jsonl")
    csv_file: Path | None = None
    console: bool = True
    scalars: str = "basic"
    prog_bar: bool = False
    region: str | None = None
    g_per_kwh: float | None = None
    intensity_kind: str = "best"
    intensity_year: int | None = None
    pue: float | str = 1.0
    price: float | Mapping[str, float] | None = None
    scope: str = "process"
    gpus: str | tuple[int | str, ...] = "auto"
    cpu_model: str = "auto"
    cpu_tdp_w: float | None = None
    cpu_threads: int | None = None
    ram_w_per_gib: float = 0.375
    powercap_root: Path = Path("/sys/class/powercap")
    sample_s: float = 0.5
    heartbeat_s: float = 60.0
    forecast_after: int = 2
    max_energy_kwh: float | None = None
    max_co2_kg: float | None = None
    sync_gpu: bool = True
    run_id: str | None = None
    origin: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __hash__(self) -> int:
        price = frozenset(self.price.items()) if isinstance(self.price, Mapping) else self.price
        return hash((price, *(getattr(self, name) for name in NAMES if name != "price")))


NAMES = tuple(f.name for f in dataclasses.fields(Settings) if f.name != "origin")


@dataclass(frozen=True, slots=True)
class _Form:
    """The form of a value: what is accepted in words, the check, and how text from a variable becomes a value."""

    accepted: str
    check: Callable[[Any], Any]
    parse: Callable[[str], Any] = str
    none: bool = False  # whether the text `none` stands for None


def resolve(
    args: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    site_files: Sequence[Path] | None = None,
) -> Settings:
    """The settings in force: arguments over variables over pyproject.toml over the site file over the defaults.

    Args:
        args: What the user passed, by name.
        environ: The environment; this process's by default.
        folder: Where the search for a pyproject.toml begins, upwards; the working folder by default.
        site_files: Candidates for the site file; the first that exists is read.

    Raises:
        SettingsError: A name or a value is not accepted.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for where, found in _sources(args or {}, environ, folder or _working_folder(), site_files):
        for name, raw in found.items():
            form = _FORMS.get(name)
            if form is None:
                raise SettingsError(_unknown(name, where))
            if name not in values:
                values[name] = _accepted(name, raw, where, form)
                origin[name] = where
    return Settings(**values, origin={name: origin.get(name, "default") for name in NAMES})


def spelled(text: str) -> str:
    """A value as a command line spells it, for :func:`resolve`: read as those of the variables are."""
    return _Text(text)


def accepted(name: str) -> str:
    """What a setting accepts, in words."""
    return _FORMS[name].accepted


def stray_variables(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and name none, for ``doctor``."""
    return sorted(
        key
        for key in environ
        if key.startswith(PREFIX) and key not in OTHER_VARIABLES and key.removeprefix(PREFIX).lower() not in _FORMS
    )


def _sources(
    args: Mapping[str, Any], environ: Mapping[str, str], folder: Path | None, site_files: Sequence[Path] | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """All sources, the strongest first. Values from variables arrive as :class:`_Text`."""
    yield "argument", dict(args)
    for name in NAMES:
        if (text := environ.get(PREFIX + name.upper())) is not None:
            yield f"{PREFIX}{name.upper()}", {name: _Text(text)}
    for pyproject in () if folder is None else (d / "pyproject.toml" for d in (folder, *folder.parents)):
        if (text := _content(pyproject)) is not None:
            tools = _toml(pyproject, text, needed="tool.eco2ai").get("tool", {})
            table = tools.get("eco2ai", {}) if isinstance(tools, Mapping) else {}
            yield str(pyproject), _tomlised(table, f"{pyproject} [tool.eco2ai]")
            break
    for site in site_files if site_files is not None else _default_site_files():
        if (text := _content(site)) is not None:
            table = dict(_toml(site, text))
            clusters = _table(table.pop("cluster", {}), f"{site} [cluster]")
            cluster = environ.get("SLURM_CLUSTER_NAME", "")
            where = f"{site} [cluster.{cluster}]"
            yield where, _tomlised(clusters.get(cluster, {}), where)
            yield str(site), _tomlised(table, str(site))
            return


def _working_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return None


def _default_site_files() -> tuple[Path, ...]:
    machine = Path("/etc/eco2ai/site.toml")
    try:
        return Path.home() / ".config/eco2ai/site.toml", machine
    except RuntimeError:  # a container's user may have no home
        return (machine,)


class _Text(str):
    """A value as a variable spells it, still to be parsed."""

    __slots__ = ()


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _toml(path: Path, text: str, needed: str = "") -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if needed not in text:
            return {}  # someone else's broken file
        raise SettingsError(f"{path} is not valid TOML, so its eco2ai settings cannot be read: {error}") from None


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{where} must be a table of settings, not {value!r:.200}.")
    return value


def _tomlised(value: Any, where: str) -> dict[str, Any]:
    """TOML has no null: the text ``none`` stands for it."""
    named = {key.replace("-", "_"): item for key, item in _table(value, where).items()}
    return {name: None if _is_none(item, _FORMS.get(name)) else item for name, item in named.items()}


def _is_none(value: Any, form: _Form | None) -> bool:
    return form is not None and form.none and isinstance(value, str) and value.strip().lower() == "none"


def _unknown(name: str, where: str) -> str:
    near = difflib.get_close_matches(name, NAMES, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else f"the settings are {', '.join(NAMES)}."
    return f"{name!r} (from {where}) is not a setting; {hint}"


def _accepted(name: str, raw: Any, where: str, form: _Form) -> Any:
    try:
        return form.check(_parsed(raw, form) if isinstance(raw, _Text) else raw)
    except (ValueError, TypeError, OverflowError, RuntimeError):  # what numbers and paths of any kind may raise
        raise SettingsError(f"{name}={raw!r:.200} (from {where}) is not accepted: {form.accepted}.") from None


def _parsed(text: str, form: _Form) -> Any:
    return None if _is_none(text, form) else form.parse(text.strip())


# --- the forms ------------------------------------------------------------------------------------------------------


def _fail() -> Any:
    raise ValueError


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str) else _fail()


def _filled(value: Any) -> str:
    return _text(value) if isinstance(value, str) and value.strip() else _fail()


def _path(value: Any) -> Path:
    path = Path(value)
    return path.expanduser() if str(value).strip() and "\0" not in str(path) else _fail()


def _flag(value: Any) -> bool:
    return value if isinstance(value, bool) else _fail()


def _parse_flag(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    return words[text.lower()] if text.lower() in words else _fail()


def _number(low: float, above: bool = False, high: float = math.inf) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool | str | bytes):
            _fail()
        number = float(value)  # NumPy's and torch's scalars too
        good = math.isfinite(number) and (number > low if above else number >= low) and number <= high
        return number if good else _fail()

    return check


def _integer(low: int, high: float = math.inf) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        number = _fail() if isinstance(value, bool) else operator.index(value)  # NumPy's integers too
        return int(number) if low <= number <= high else _fail()

    return check


def _choice(*words: str) -> Callable[[Any], str]:
    return lambda value: str(value) if value in words else _fail()


def _or_none(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


def _pue(value: Any) -> float | str:
    return value if value == "provider" else _number(1.0, high=10.0)(value)


def _price(value: Any) -> float | dict[str, float]:
    amount = _number(0.0)
    if not isinstance(value, Mapping):
        return amount(value)
    return {_filled(hours): amount(item) for hours, item in value.items()} if value else _fail()


def _gpus(value: Any) -> str | tuple[int | str, ...]:
    if isinstance(value, str):
        return () if value == "none" else value if value in ("auto", "visible", "all") else _gpus([value])
    items = [value] if isinstance(value, SupportsIndex) else list(value)
    return tuple(_gpu(item) for item in items)


def _gpu(value: Any) -> int | str:
    if isinstance(value, str):
        return value if value.startswith(("GPU-", "MIG-")) else _fail()
    return _integer(0)(value)


def _parse_gpus(text: str) -> Any:
    if text.lower() in ("auto", "visible", "all", "none"):
        return text.lower()
    parts = [part.strip() for part in text.strip("()[]").split(",") if part.strip()]
    return [int(part) if part.isdigit() else part for part in parts]


def _optional(low: float, what: str) -> _Form:
    return _Form(f"a number above {low:g}, {what}, or None", _or_none(_number(low, above=True)), float, none=True)


_FORMS: Mapping[str, _Form] = {
    "project": _Form("a text that is not empty", _filled),
    "description": _Form("a text", _text),
    "log_file": _Form("a path, or None for no file", _or_none(_path), none=True),
    "csv_file": _Form("a path, or None for no file", _or_none(_path), none=True),
    "console": _Form("True or False", _flag, _parse_flag),
    "scalars": _Form("'basic' or 'all'", _choice("basic", "all")),
    "prog_bar": _Form("True or False", _flag, _parse_flag),
    "region": _Form(
        "a country (FR, FRA, France), a subdivision (US-CA), a cloud region (aws:eu-west-3) or None",
        _or_none(_filled),
        none=True,
    ),
    "g_per_kwh": _Form(
        "a number from 0 to 5000, in grams of CO2e per kWh, or None",
        _or_none(_number(0.0, high=5000.0)),
        float,
        none=True,
    ),
    "intensity_kind": _Form("'best', 'lifecycle' or 'direct'", _choice("best", "lifecycle", "direct")),
    "intensity_year": _Form("a year from 1990 to 2100, or None", _or_none(_integer(1990, 2100)), int, none=True),
    "pue": _Form("a number from 1 to 10, or 'provider'", _pue, lambda t: t if t == "provider" else float(t)),
    "price": _Form(
        "a price per kWh of 0 or more, a mapping such as {'8:00-20:00': 0.2, '20:00-8:00': 0.1}, or None",
        _or_none(_price),
        json.loads,
        none=True,
    ),
    "scope": _Form("'process' or 'machine'", _choice("process", "machine")),
    "gpus": _Form(
        "'auto', 'visible', 'all', a list of indices or of UUIDs (GPU-..., MIG-...), or () for none", _gpus, _parse_gpus
    ),
    "cpu_model": _Form("'auto' or 'paper'", _choice("auto", "paper")),
    "cpu_tdp_w": _optional(0.0, "in watts"),
    "cpu_threads": _Form("a whole number from 1, or None", _or_none(_integer(1)), int, none=True),
    "ram_w_per_gib": _Form("a number of 0 or more, in watts per GiB", _number(0.0), float),
    "powercap_root": _Form("a folder", _path),
    "sample_s": _Form("a number from 0.01 to 60, in seconds", _number(0.01, high=60.0), float),
    "heartbeat_s": _Form(
        "a number of 0 (off) or from 0.1, in seconds",
        lambda v: 0.0 if v == 0 and not isinstance(v, bool) else _number(0.1)(v),
        float,
    ),
    "forecast_after": _Form("a whole number of 0 (off) or more, in epochs", _integer(0), int),
    "max_energy_kwh": _optional(0.0, "in kWh"),
    "max_co2_kg": _optional(0.0, "in kg"),
    "sync_gpu": _Form("True or False", _flag, _parse_flag),
    "run_id": _Form(
        "the id of a run, letters, digits, '-' and '_', or None",
        _or_none(lambda v: v if isinstance(v, str) and re.fullmatch(r"[\w-]{1,64}", v) else _fail()),
        none=True,
    ),
}
