"""What a job has used over all of its ranks."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.aggregate import jobs, of_ranks


def record(rank: int, **values: Any) -> Record:
    return Record(run="r", writer=f"w{rank}", rank=rank, world_size=3, host="h", event="epoch", **values)


def test_a_merge_adds_energies_and_says_whose_they_are() -> None:
    found = jobs([record(1, seconds=2.0, joules={"cpu": 4.0}), record(0, seconds=3.0, joules={"cpu": 5.0})])["r"]
    assert found.total.joules == {"cpu": 9.0}
    assert found.total.seconds == 3.0
    assert (found.ranks, found.world_size, found.said) == ((0, 1), 3, "2 of 3 ranks")


def test_a_merge_of_one_process_says_nothing_of_ranks() -> None:
    alone = dataclasses.replace(record(0, seconds=1.0, joules={"cpu": 1.0}), world_size=1)
    found = jobs([alone])["r"]
    assert found.is_complete
    assert found.said == ""


def test_runs_come_in_the_order_of_their_first_records() -> None:
    found = jobs([dataclasses.replace(record(rank), run=run) for run in ("b", "a", "b") for rank in (0, 1, 2)])
    assert list(found) == ["b", "a"]
    assert all(job.is_complete and job.said == "3 ranks" and job.hosts == ("h",) for job in found.values())
    assert jobs([]) == {}


def test_a_job_of_several_hosts_names_each_once() -> None:
    found = jobs([dataclasses.replace(record(rank), host=f"h{rank % 2}") for rank in (0, 1, 2)])["r"]
    assert found.hosts == ("h0", "h1")


@pytest.mark.parametrize(
    ("seen", "size", "said"), [(1, 1, ""), (0, 0, ""), (4, 4, "4 ranks"), (3, 4, "3 of 4 ranks"), (5, 4, "4 ranks")]
)
def test_a_figure_says_of_how_many_ranks_it_is(seen: int, size: int, said: str) -> None:
    assert of_ranks(seen, size) == said
