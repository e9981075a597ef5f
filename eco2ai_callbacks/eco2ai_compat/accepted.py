"""What each parameter of eco2AI's interface accepts."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from eco2ai_callbacks.carbon.price import Price, PriceError
from eco2ai_callbacks.eco2ai_compat.errors import IncorrectPricingDict, NotNeededExtensionError
from eco2ai_callbacks.errors import SettingsError, refusal
from eco2ai_callbacks.settings.forms import ControlCharacter, Form, choice, flag, number, text

ENDING = ".csv"


def _named(value: Any) -> str:
    """Return the name of a CSV file; a path is one too."""
    name = os.fspath(value) if isinstance(value, os.PathLike) else value
    found: str = text("").check(name)
    if not found.endswith(ENDING):
        raise NotNeededExtensionError
    return found


def _words(value: Any, *, empty: bool) -> str:
    """Return a text; eco2AI writes a number as a text, too."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    found: str = text("", empty=empty).check(value)
    return found


def _encoded(value: Any) -> Any:
    return value or None if isinstance(value, bool) else _named(value)


def _as_given(form: Form) -> Form:
    """Return the form of a number that leaves a whole one as it is, as eco2AI does."""
    return Form(form.accepted, lambda value: (form.check(value), value)[isinstance(value, int)])


def _prices(value: Any) -> Mapping[str, float]:
    if not isinstance(value, Mapping) or not value:
        raise TypeError
    try:
        Price(value)
    except PriceError as error:
        raise IncorrectPricingDict(error.reason) from None
    return dict(value)


def _zone(value: Any) -> tzinfo | None:
    if value is None or value is False:
        return None
    if isinstance(value, tzinfo):
        return value
    name = text("").check(value)
    # A machine without the table of zones knows no name.
    return ZoneInfo(name) if available_timezones() else None


FORMS: Mapping[str, Form] = {
    "project_name": Form("a text that is not empty", lambda value: _words(value, empty=False)),
    "experiment_description": Form("a text", lambda value: _words(value, empty=True)),
    "file_name": Form("the name of a file that ends in '.csv'", _named),
    "measure_period": _as_given(number("a number above 0, in seconds", 0.0, above=True)),
    "emission_level": number("a number from 0 to 5000, in kg of CO2 per MWh, or None", 0.0, 5000.0, none=True),
    "alpha_2_code": text(
        "an ISO 3166-1 code of two letters, such as 'FR', or None", pattern=r"\s*[A-Za-z]{2}\s*", none=True
    ),
    "region": text("the name or code of a part of the country, such as 'California', or None", none=True),
    "cpu_processes": choice("current", "all"),
    "pue": _as_given(number("a number from 1 to 10", 1.0, 10.0)),
    "encode_file": Form("True, the name of a file that ends in '.csv', or None", _encoded, none=True),
    "electricity_pricing": Form(
        "prices per kWh by spans that cover the day once, such as {'8:00-20:00': 0.2, '20:00-8:00': 0.1}, or None",
        _prices,
        none=True,
    ),
    "ignore_warnings": flag(),
    "timezone": Form("the name of a time zone, such as 'Europe/Paris', or False", _zone),
}


def check(name: str, value: Any, where: str = "argument") -> Any:
    """Return the value of a parameter as it is used.

    Args:
        name: The parameter.
        value: Its value.
        where: Where that came from.

    Raises:
        SettingsError: It is not accepted; the text names it, where it came from, and what is accepted.

    Example:
        >>> check("file_name", "emission.csv")
        'emission.csv'
    """
    form = FORMS[name]
    try:
        return form.value(value)
    # What numbers, paths and time zones of any kind may raise.
    except (ValueError, TypeError, OverflowError, OSError, KeyError) as error:
        kind = type(error) if isinstance(error, SettingsError) else SettingsError
        said = isinstance(error, ControlCharacter | IncorrectPricingDict)
        why = f"; {error}" if said else ""
        raise kind(refusal(f"{name}={value!r:.200}", form.accepted + why, where)) from None


def epoch_number(value: Any, name: str) -> int:
    """Return the number of an epoch; NumPy's are accepted too.

    Args:
        value: The number.
        name: The parameter.

    Raises:
        SettingsError: It is no whole number.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise SettingsError(refusal(f"{name}={value!r:.200}", "a whole number", "argument")) from None
