"""The arguments of eco2AI's tracker, as settings of this package."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from eco2ai_callbacks.carbon import grid, places
from eco2ai_callbacks.carbon.intensity import eco2ai_lookup
from eco2ai_callbacks.eco2ai_compat.accepted import check
from eco2ai_callbacks.eco2ai_compat.encode import Token, cipher, copy_of
from eco2ai_callbacks.eco2ai_compat.errors import NoCountryCodeError
from eco2ai_callbacks.eco2ai_compat.params import UNSAVED, get_params
from eco2ai_callbacks.errors import SettingsError, refusal
from eco2ai_callbacks.guard import Guard, logger
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.settings import Settings, resolve
from eco2ai_callbacks.sinks import OpenSink
from eco2ai_callbacks.sinks.csv import CsvFile
from eco2ai_callbacks.sinks.csv_cells import cpu_cell, place_cell

# The shortest time between two heartbeats that the settings accept, in seconds.
_SHORTEST_S = 0.1
# Where the run log is by default.
BESIDE: Literal["beside the CSV"] = "beside the CSV"
LogFile = str | os.PathLike[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What a tracker of eco2AI's interface was given, checked.

    Args:
        saved: What later trackers take where they are given none.
        place: What rows say of the place; ``None`` where it is found.
        settings: The settings in force.
        ignore_warnings: Whether no warning is logged about the place.
        encode_file: Name of the encrypted copy; ``None`` for none.
        fernet: What encrypts it.
    """

    saved: Mapping[str, Any]
    place: str | None
    settings: Settings
    ignore_warnings: bool
    encode_file: str | None = None
    fernet: Any = None

    def emission_level(self, platform: Platform) -> float:
        """Return the carbon intensity in kilograms of CO2 per megawatt-hour.

        Args:
            platform: The outside world.
        """
        year = datetime.now().year
        return platform.grid(self.settings, platform.variables, platform.root, year, Guard()).intensity.g_per_kwh

    def sinks(self, *, training: bool) -> tuple[OpenSink, ...]:
        """Return what opens the CSV and its encrypted copy.

        Args:
            training: Whether only epochs get rows.
        """

        def csv(settings: Settings, host: Host) -> CsvFile:
            return self._file(self.saved["file_name"], settings, host, training, running=not training)

        def encoded(settings: Settings, host: Host) -> CsvFile:
            line = partial(Token, fernet=self.fernet)
            return self._file(str(self.encode_file), settings, host, training, line=line, name="encoded CSV file")

        return (csv,) if self.encode_file is None else (csv, encoded)

    def _file(self, file_name: str, settings: Settings, host: Host, training: bool, **fields: Any) -> CsvFile:
        place, cpu = self.place, cpu_cell(host, settings.cpu_tdp_w)
        spelled = place_cell if place is None else lambda _: place
        return CsvFile(Path(file_name).absolute(), cpu, place=spelled, epochs_only=training, **fields)


def checked(given: Mapping[str, Any], log_file: LogFile = BESIDE) -> Arguments:
    """Return the arguments of a tracker, with what was saved for those that are ``None``.

    Args:
        given: The arguments by name.
        log_file: The run log; by default beside the CSV, unless a variable or a file sets one.

    Raises:
        ImportError: An encrypted copy is asked for, and cryptography is not installed.
        SettingsError: An argument is not accepted.
    """
    saved = get_params()
    values = {
        name: check(name, saved[name] if value is None and name in saved else value) for name, value in given.items()
    }
    quiet = values["ignore_warnings"]
    code, region = values["alpha_2_code"], values["region"]
    if code is None and region is not None:
        raise NoCountryCodeError(
            f"region={region!r} (from argument) needs its country: set alpha_2_code, such as 'FR'."
        )
    named, spelled = _place(code.strip().upper(), region, quiet) if code else (None, None)
    if values["emission_level"] is not None and spelled is not None:
        spelled = f"({spelled})"
    encoded = values["encode_file"]
    settings = _settings(values, named, log_file)
    grid.check(settings)
    return Arguments(
        saved={name: values[name] for name in UNSAVED},
        place=spelled,
        settings=settings,
        ignore_warnings=quiet,
        encode_file=None if encoded is None else copy_of(values["file_name"], encoded),
        fernet=None if encoded is None else cipher(create=True),
    )


def _settings(values: Mapping[str, Any], region: str | None, log_file: LogFile) -> Settings:
    own: dict[str, Any] = {
        "project": values["project_name"],
        "description": values["experiment_description"],
        "heartbeat_s": max(_SHORTEST_S, values["measure_period"]),
        "scope": "process" if values["cpu_processes"] == "current" else "machine",
        "pue": values["pue"],
        "console": False,
    }
    optional = {"region": region, "g_per_kwh": values["emission_level"], "price": values["electricity_pricing"]}
    own |= {name: value for name, value in optional.items() if value is not None}
    if log_file != BESIDE:
        return resolve({**own, "log_file": log_file})
    settings = resolve(own)
    if settings.origin["log_file"] != "default":
        return settings
    return resolve({**own, "log_file": Path(values["file_name"]).with_suffix(".jsonl")})


def _place(code: str, region: str | None, quiet: bool) -> tuple[str, str]:
    """Return the setting for a place, and how eco2AI spells it.

    A region that is in no table stands for its country, as in eco2AI; that is logged.

    Raises:
        SettingsError: There is no such country.
    """
    try:
        country = eco2ai_lookup(code)
    except SettingsError:
        near = ", ".join(spot.label for spot in places.nearest(code))
        raise SettingsError(
            refusal(
                f"alpha_2_code={code!r}",
                f"an ISO 3166-1 code of two letters, such as 'FR'; nearest are {near}",
                "argument",
            )
        ) from None
    if region is None:
        return country.region, code
    try:
        return eco2ai_lookup(code, region).region, f"{code}/{region}"
    except SettingsError as error:
        if not quiet:
            with contextlib.suppress(Exception):  # a log handler of the user's
                logger.warning("%s; the figure of %s is used", error, country.name)
        return country.region, f"{code}/{region}"
