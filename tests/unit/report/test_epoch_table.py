"""Epochs of one rank as columns of numbers."""

from __future__ import annotations

from epoch_tables import record, table

from eco2ai_callbacks.report.epoch_table import MOST_COLUMNS
from eco2ai_callbacks.report.epochs import Epochs


def test_two_files_parts_add_up() -> None:
    begin, end = table(record(0), record(1)), table(record(1, start="2026-01-01T00:00:00+00:00"), record(2))
    begin.plus(end)
    found = Epochs([begin])
    assert [(each.epoch, each.seconds) for each in found] == [(0, 2.0), (1, 4.0), (2, 2.0)]
    assert found[1].started is not None


def test_metrics_without_end_do_not_fill_the_memory() -> None:
    found = table(*(record(number, metrics={f"m{number}": 1.0}, stage=f"s{number}") for number in range(1000)))
    assert len(found._columns) <= MOST_COLUMNS + 10
    assert sum(each.seconds for each in Epochs([found])) == 2000.0


def test_a_million_epochs_are_columns() -> None:
    found = table(*(record(number) for number in range(1000)))
    assert not found._rows  # no entry of a dictionary for each
    assert Epochs([found])._keys is None
