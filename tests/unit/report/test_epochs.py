"""Epochs as columns of numbers, and as plain objects."""

from __future__ import annotations

import pytest
from epoch_tables import record, table

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.epochs import Epochs


def test_an_epoch_is_the_sum_of_its_records_by_stage() -> None:
    found = Epochs(
        [
            table(
                record(0, method={"cpu": "rapl"}, band={"cpu": (9.0, 11.0)}, co2_kg=0.5, cost=1.0, samples=7),
                record(0, stage="validate", event="stage", seconds=1.0, joules={"cpu": 2.0, "ram": 3.0}),
                record(1, metrics={"loss": 0.25, "note": "text", "nan": float("nan")}),
            )
        ]
    )
    first, second = found
    assert (first.epoch, first.attempt, first.seconds, first.joules) == (0, 1, 3.0, {"cpu": 12.0, "ram": 3.0})
    assert first.stages["train"].joules == 10.0
    assert first.stages["validate"].joules == 5.0
    assert (first.co2_kg, first.sum.cost, first.samples, first.tokens) == (0.5, 1.0, 7, None)
    assert first.sum.parts["cpu", "rapl"].low == 9.0
    assert second.metrics == {"loss": 0.25}
    assert second.co2_kg is None
    assert found[-1] == second
    assert found[0:1] == [first]
    with pytest.raises(IndexError, match="2 epochs"):
        found[2]


def test_an_epoch_that_is_repeated_is_another_one() -> None:
    found = Epochs([table(record(0), record(1), record(1, 2), record(2, 2), record(1), record(2))])
    assert [(each.epoch, each.attempt, each.seconds) for each in found] == [
        *((0, 1, 2.0), (1, 1, 4.0), (1, 2, 2.0), (2, 1, 2.0), (2, 2, 2.0)),
    ]


def test_epochs_in_any_order_come_by_their_numbers() -> None:
    found = Epochs([table(*(record(number) for number in (5, 3, 4, 3, 10**9, 5, -1)))])
    assert [(each.epoch, each.seconds) for each in found] == [(-1, 2.0), (3, 4.0), (4, 2.0), (5, 4.0), (10**9, 2.0)]


@pytest.mark.parametrize("epoch", [None, 2**70], ids=["none", "beyond 64 bits"])
def test_what_is_no_epoch_has_no_row(epoch: int | None) -> None:
    assert len(Epochs([table(record(epoch))])) == 0


def test_ranks_ran_side_by_side() -> None:
    first = table(record(0, metrics={"loss": 1.0}), record(1))
    second = table(record(0, seconds=3.0, metrics={"loss": 9.0, "other": 2.0}, samples=4))
    both, alone = Epochs([first, second])
    assert (both.seconds, both.joules, both.samples) == (2.0, {"cpu": 20.0}, 4)
    assert both.stages["train"].seconds == 2.0
    assert both.stages["train"].joules == 20.0
    assert both.metrics == {"loss": 1.0, "other": 2.0}
    assert alone.joules == {"cpu": 10.0}


def test_an_epoch_is_closed_where_all_ranks_came_to_its_end() -> None:
    def part(event: str, epoch: int) -> Record:
        return record(epoch, event=event)

    ended = table(part("stage", 0), part("epoch", 0), part("epoch", 1))
    killed = table(part("epoch", 0), part("heartbeat", 1))
    assert [each.closed for each in Epochs([ended])] == [True, True]
    assert [each.closed for each in Epochs([ended, killed])] == [True, False]
    killed.plus(table(part("epoch", 1)))
    assert [each.closed for each in Epochs([ended, killed])] == [True, True]
