"""The form of a CSV of eco2AI."""

from __future__ import annotations

import doctest

import pytest

from eco2ai_callbacks.sinks import csv_form
from eco2ai_callbacks.sinks.csv_form import COLUMNS, Form, Row, form_of

VALUES = dict.fromkeys(COLUMNS, "a") | {"duration(s)": 2.5}


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(csv_form).failed == 0


@pytest.mark.parametrize(
    "form",
    [
        Form(),
        Form(COLUMNS[:-1]),
        Form(tuple(reversed(COLUMNS))),
        Form(delimiter="\t"),
        Form(delimiter=";", newline="\r\n"),
        Form(delimiter=";", decimal=","),
    ],
    ids=["own", "without cost", "reversed", "tabs", "semicolons", "decimal commas"],
)
def test_a_form_is_read_from_what_it_writes(form: Form):
    values = dict.fromkeys(COLUMNS, "a\nb;c") | {"duration(s)": 2.5, "cost": 1e-07}
    head = form.header() + form.row(values) + b"rest"
    assert form_of(head) == form
    assert form_of(head[: len(form.header())]) in (form, Form(form.columns, form.delimiter, form.newline))


@pytest.mark.parametrize(
    ("form", "original"),
    [
        (Form(), True),
        (Form(delimiter="\t", newline="\r\n"), True),
        (Form(delimiter=";"), False),
        (Form(delimiter="\t", decimal=","), False),
        (Form(marked=True), False),
    ],
    ids=["own", "tabs", "semicolons", "decimal commas", "byte order mark"],
)
def test_a_spreadsheets_form_is_none_that_eco2ai_reads(form: Form, original: bool):
    assert form.is_original is original
    written = b"\xef\xbb\xbf" * form.marked + form.header() + form.row(VALUES)
    assert (Row(VALUES).below(written, torn=False, quoted=False) is not None) is original


def test_a_row_follows_a_torn_line_on_a_line_of_its_own():
    row = Row(VALUES)
    assert row.below(row.first + b"a,b", torn=True, quoted=False) == b"\n" + row.alone()
    assert row.below(row.first + b'a,"b', torn=True, quoted=True) == b'"\n' + row.alone()
    assert row.below(row.first, torn=False, quoted=False) == row.alone() == Form().row(VALUES)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1 + 0.2, 1e22, 1.5e-07, 5e-324, 1.7976931348623157e308, 123456.789])
def test_numbers_of_a_fixed_width_are_the_same_numbers(value: float):
    wide, narrow = (Form(("cost",)).row({"cost": value}, fixed=fixed) for fixed in (True, False))
    assert float(wide) == float(narrow) == value
    assert len(wide) == len(Form(("cost",)).row({"cost": 0.5}, fixed=True)) == 26


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["Unix", "Windows"])
def test_line_ends_in_a_text_are_quoted(newline: str):
    row = Form(("id", "OS"), newline=newline).row({"id": "a\rb", "OS": "c\nd"})
    assert row.decode() == f'"a\rb","c\nd"{newline}'


def test_an_empty_file_has_no_form():
    assert form_of(b"") is None
