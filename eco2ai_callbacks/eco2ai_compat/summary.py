"""Sums of a CSV by project, as eco2AI returns them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eco2ai_callbacks.eco2ai_compat.accepted import ENDING
from eco2ai_callbacks.eco2ai_compat.encode import EXTRA
from eco2ai_callbacks.eco2ai_compat.errors import FileDoesNotExistsError, NotNeededExtensionError
from eco2ai_callbacks.errors import SettingsError, refusal
from eco2ai_callbacks.settings.forms import number
from eco2ai_callbacks.sinks.csv_read import EmissionRow, read_emissions

COLUMNS = (
    "project_name",
    "total duration(s)",
    "total power_consumption(kWh)",
    "total CO2_emissions(kg)",
    "total electricity cost",
)
PRICE = "total electricity price"
ALL = "All the projects"


def summary(
    filename: str | os.PathLike[str],
    write_to_file: str | os.PathLike[str] | bool | float | None = False,
    kwh_price: float | str | os.PathLike[str] | bool | None = None,
) -> Any:
    """Return the sums of a CSV's projects and of all of them, a row each, as a pandas DataFrame.

    What a row does not hold adds nothing. A CSV of any version of eco2AI is read.

    Args:
        filename: The CSV.
        write_to_file: Name of a CSV file to write the sums to.
        kwh_price: Price of a kilowatt-hour; the sums get a column ``total electricity price`` then. In the order of
            eco2ai 0.2, ``summary(filename, kwh_price, write_to_file)``, it comes first, and is told by its type.

    Raises:
        ImportError: pandas is not installed.
        FileDoesNotExistsError: There is no such file.
        NotNeededExtensionError: A name does not end in ``.csv``.
        SettingsError: The file is no CSV of eco2AI, or a value is not accepted.
    """
    if _is_number(write_to_file) or (isinstance(kwh_price, str | os.PathLike | bool)):
        write_to_file, kwh_price = kwh_price, write_to_file
    price, target = _price(kwh_price), _target(write_to_file)
    if not Path(filename).exists():
        raise FileDoesNotExistsError(f"filename={str(filename)!r} is not there.")
    if not str(filename).endswith(ENDING):
        raise NotNeededExtensionError(refusal(f"filename={str(filename)!r}", f"a file that ends in '{ENDING}'"))
    try:
        import pandas as pd
    except ImportError:
        raise ImportError(f"summary returns a DataFrame, which needs the package pandas: {EXTRA}") from None
    rows = read_emissions(Path(filename)).rows
    projects = sorted({row.project_name or "" for row in rows})
    sums = [
        *([name, *_sums((row for row in rows if (row.project_name or "") == name), price)] for name in projects),
        [ALL, *_sums(rows, price)],
    ]
    found = pd.DataFrame(sums, columns=[*COLUMNS, *([] if price is None else [PRICE])])
    if target is not None:
        found.to_csv(target)
    return found


def _sums(rows: Iterable[EmissionRow], price: float | None) -> list[float]:
    kept = list(rows)
    seconds, energy, co2, cost = (
        math.fsum(getattr(row, name) or 0.0 for row in kept) for name in ("duration_s", "energy_kwh", "co2_kg", "cost")
    )
    return [seconds, energy, co2, cost, *([] if price is None else [energy * price])]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _price(value: Any) -> float | None:
    if value is None or value is False:
        return None
    try:
        found: float = number("", 0.0).check(value)
    except (ValueError, TypeError, OverflowError):
        raise SettingsError(
            refusal(f"kwh_price={value!r:.200}", "a number of 0 or more, or None", "argument")
        ) from None
    return found


def _target(value: Any) -> str | None:
    if value is None or value is False:
        return None
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise SettingsError(refusal(f"write_to_file={value!r:.200}", "the name of a file, or None", "argument"))
    return os.fspath(value)
