"""Which rows of a Hugging Face Trainer are the metrics of an epoch."""

from __future__ import annotations

import types
from typing import Any

from logcheck import rows

from eco2ai_callbacks.integrations.hf_logged import LoggedRows
from eco2ai_callbacks.tracker import Tracker

FIRST, SECOND = (types.SimpleNamespace(is_world_process_zero=first) for first in (True, False))


def written() -> list[tuple[int, dict[str, float]]]:
    return [(row["epoch"], row["metrics"]) for row in rows() if row["event"] == "metrics"]


def tracker() -> Tracker:
    return Tracker(region="FR", console=False, heartbeat_s=0.0)


def test_the_latest_number_of_each_name_is_written_once_an_epoch() -> None:
    found = LoggedRows()
    with tracker() as run:
        for epoch in range(3):
            if epoch < 2:
                found.add(run, FIRST, {"loss": 0.5, "learning_rate": 0.1, "epoch": epoch + 0.5})
                found.add(run, FIRST, {"loss": 0.25 - epoch / 10, "epoch": epoch + 1.0})
                found.add(run, FIRST, {"eval_loss": 0.75, "eval_eco2ai/energy_kwh": 1.0, "epoch": epoch + 1.0})
            run.end_epoch(epoch)
            found.write(run, epoch)
    assert written() == [
        (0, {"loss": 0.25, "eval_loss": 0.75, "learning_rate": 0.1}),
        (1, {"loss": 0.15, "eval_loss": 0.75, "learning_rate": 0.1}),
    ]


def test_rows_of_the_whole_training_and_from_before_its_first_epoch_are_no_epochs() -> None:
    found = LoggedRows()
    with tracker() as run:
        found.add(run, FIRST, {"eval_loss": 0.9})
        found.write(run, None)
        found.add(run, FIRST, {"train_runtime": 9.0, "train_loss": 0.4, "epoch": 1.0})
        found.write(run, 0)
    assert written() == []


def test_other_processes_and_what_nothing_measures_write_nothing() -> None:
    found, row = LoggedRows(), {"loss": 0.5}
    with tracker() as run:
        found.add(run, SECOND, row)
        found.add(None, FIRST, row)
        found.add(run, FIRST, None)
        found.write(run, 0)
        found.add(run, FIRST, row)
        found.write(None, 0)
    assert written() == []


def test_a_row_that_cannot_be_read_is_recorded_and_what_was_known_stays() -> None:
    class Row(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            raise KeyError(name)

    found = LoggedRows()
    with tracker() as run:
        found.add(run, FIRST, {"loss": 0.5})
        found.add(run, FIRST, Row(loss=0.25))
        found.write(run, 0)
    assert written() == [(0, {"loss": 0.5})]
    assert any(failure.startswith("logged metrics: ") for failure in rows()[-1]["failures"])
