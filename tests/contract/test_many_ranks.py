"""What the end of an epoch costs a job of many ranks, by the simulated group of ``benchmarks/ranks.py``."""

from __future__ import annotations

import pytest
from benchmark_package import ROOT

from benchmarks.ranks import SIZES, SimulatedGroup, cost, main, message
from eco2ai_callbacks.distributed.job import JobTotals
from eco2ai_callbacks.guard import Guard


def test_the_simulated_ranks_add_up() -> None:
    group, job = SimulatedGroup(16), JobTotals(Guard())
    job.join(group.gather, rank=0)
    found = job.add(message(0))
    assert job.ranks == 16
    assert found.total.total_j == pytest.approx(sum(message(rank).total.total_j or 0.0 for rank in range(16)))
    assert len(found.total.joules) == 2 + 16  # a GPU of each


@pytest.mark.parametrize("size", [8, 512])
def test_a_rank_sends_half_a_kilobyte_however_many_there_are(size: int) -> None:
    found = cost(size, repetitions=1)
    assert 100 < found.sent_bytes < 600
    assert found.received_bytes < size * 620


def test_the_page_has_the_table_of_these_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["2"]) == 0
    heading = capsys.readouterr().out.splitlines()[0]
    page = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")
    assert heading in page
    for size in SIZES:
        assert f"\n| {size:,} | " in page


def test_a_job_of_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["8", "1"])
    assert "sizes: 1 is not accepted: a job has 2 ranks or more" in capsys.readouterr().err
