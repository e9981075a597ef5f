"""Options of a form: texts, numbers and choices, or one sentence."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.export.standards.options import Options

KNOWN = {"a": "the first", "b": "the second"}


def options(**given: str) -> Options:
    return Options("form", given, KNOWN)


def test_what_is_not_set_is_none() -> None:
    nothing = options(a="  ")
    assert nothing.text("a") is nothing.number("a") is nothing.whole("a") is nothing.moment("b") is None
    assert nothing.choice("b", ("x",)) is None
    with pytest.raises(SettingsError, match=r"^form needs the option b, which no log holds: the second\.$"):
        nothing.needed("b")


def test_what_is_set_has_its_kind() -> None:
    given = options(a=" 1.5 ", b="7")
    assert (given.text("a"), given.number("a"), given.whole("b"), given.needed("b")) == ("1.5", 1.5, 7, "7")
    assert options(a="x").choice("a", ("x", "y")) == "x"
    assert options(a="2026-11-28T12:00:00+02:00").moment("a") == datetime(2026, 11, 28, 10, tzinfo=UTC)
    assert options(a="2026-11-28").moment("a") == datetime(2026, 11, 28, tzinfo=UTC)


@pytest.mark.parametrize("value", ["x", "-1", "inf", "nan", "1e999"])
def test_what_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=f"a='{value}' is not accepted; accepted: a number of 0 or more"):
        options(a=value).number("a")


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "²", "x"])
def test_what_is_no_whole_number_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="is not accepted; accepted: a whole number of 1 or more"):
        options(a=value).whole("a")


def test_an_option_that_is_not_known_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"^c='1' is no option of form; accepted are a, b\.$"):
        options(c="1")
