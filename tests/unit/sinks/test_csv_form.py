"""The form of a CSV of eco2AI."""

from __future__ import annotations

import doctest

import pytest

from eco2ai_callbacks.sinks import csv_form
from eco2ai_callbacks.sinks.csv_form import COLUMNS, Form, form_of


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


def test_an_empty_file_has_no_form():
    assert form_of(b"") is None
