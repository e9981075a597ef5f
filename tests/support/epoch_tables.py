"""Tables of epochs, made of records."""

from __future__ import annotations

from typing import Any

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.epoch_table import Table
from eco2ai_callbacks.report.of_record import Deriver


def record(epoch: int | None, attempt: int | None = 1, **values: Any) -> Record:
    fixed = {"run": "r", "writer": "w", "event": "epoch", "stage": "train", "seconds": 2.0, "joules": {"cpu": 10.0}}
    return Record(**fixed | values, epoch=epoch, attempt=attempt)


def table(*records: Record) -> Table:
    found, deriver = Table(), Deriver()
    for each in records:
        found.add(deriver.figures(each))
    return found
