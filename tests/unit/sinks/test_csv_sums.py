"""The sums of a row."""

from __future__ import annotations

import doctest

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.sinks import csv_sums
from eco2ai_callbacks.sinks.csv_sums import Sums


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(csv_sums).failed == 0


def test_the_energy_of_a_record_gets_the_overhead() -> None:
    record = Record(
        run="r", writer="w", event="epoch", start="s", seconds=2.0, energy_kwh=0.5, pue=1.2, co2_kg=1.0, cost=3.0
    )
    assert Sums.of(record) == Sums("s", 2.0, 0.6, 1.0, 3.0)
    assert Sums.of(Record(run="r", writer="w", event="epoch")) == Sums()


def test_what_is_not_known_adds_nothing() -> None:
    known = Sums("b", 1.0, 0.5, 0.25, 0.125)
    assert known + Sums() == Sums() + known == known - Sums() == known
    assert Sums() - known == Sums("", -1.0)
    assert known - known == Sums("b", 0.0, 0.0, 0.0, 0.0)
