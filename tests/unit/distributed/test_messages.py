"""The ranks of a job: each counts its own part, what is shared once, and all know the sum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from logcheck import close, rows
from threaded_job import JOB, Job, cpu, draws, joules

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.distributed.messages import RankStart, RankUsage, remote_failures, sum_ranks
from eco2ai_callbacks.host.gpu_health import GpuHealth
from eco2ai_callbacks.runlog.aggregate import jobs
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform
from eco2ai_callbacks.usage import Usage

# --- the sum -------------------------------------------------------------------------------------------------------


def test_records_hold_a_rank_s_own_figures_and_scalars_the_job_s() -> None:
    job = Job(4, cpu).start()
    scalars = job.epoch(0, 5.0)
    job.stop()
    found = rows()
    assert len({row["run"] for row in found}) == 1
    assert len({row["writer"] for row in found}) == 4
    assert {row["world_size"] for row in found} == {4}
    for row in found:
        if row["event"] == "epoch":
            assert row["joules"]["cpu"] == pytest.approx(50.0 * (row["rank"] + 1))
            assert row["total"]["energy_kwh"] == row["energy_kwh"]
    assert all(each == scalars[0] for each in scalars)
    assert joules(scalars[0]["eco2ai/energy_kwh"]) == pytest.approx(500.0)
    assert joules(scalars[0]["eco2ai/total_energy_kwh"]) == pytest.approx(500.0)


def test_power_is_the_job_s_in_the_time_of_the_first_rank() -> None:
    job = Job(2, cpu, scalars="all").start()
    scalars = job.epoch(0, 5.0)
    job.stop()
    assert scalars[1]["eco2ai/power_w"] == pytest.approx(30.0)
    assert joules(scalars[1]["eco2ai/cpu_kwh"]) == pytest.approx(150.0)


def test_counts_add_up_over_the_ranks() -> None:
    job = Job(2, cpu, scalars="all").start()
    job.clock.advance(2.0)
    scalars = job.all(lambda tracker, rank: tracker.end_epoch(0, samples=30, tokens=50).scalars)
    job.stop()
    assert scalars[0]["eco2ai/j_per_sample"] == pytest.approx(1.0)
    assert scalars[1]["eco2ai/j_per_token"] == pytest.approx(0.6)


def test_phases_add_up_over_the_ranks_in_the_time_of_the_first() -> None:
    found = sum_ranks(
        [
            RankUsage(phases={"data": (1.0, 2.0), "train": (3.0, 4.0)}),
            RankUsage(phases={"train": (3.5, 5.0), "augment": (0.5, 6.0)}),
        ]
    )
    assert found.phases == {"data": (1.0, 2.0), "train": (3.0, 9.0), "augment": (0.5, 6.0)}


def test_an_evaluation_s_scalars_are_the_job_s_too() -> None:
    job = Job(2, cpu).start()
    job.clock.advance(4.0)
    found = job.all(lambda tracker, rank: tracker.figures.stage(tracker.mark("stage", stage="test"), "test"))
    job.stop()
    assert joules(found[0]["eco2ai/test_energy_kwh"]) == pytest.approx(120.0)
    assert found[0] == found[1]


def test_all_ranks_decide_by_the_same_sum() -> None:
    job = Job(3, lambda rank, clock: [draws(clock, {"cpu": (0.1 * (rank + 1), JOB)})], max_energy_kwh=1e-6).start()
    job.clock.advance(1.7)
    assert job.all(lambda tracker, rank: tracker.end_epoch(0).stop) == [None] * 3
    totals = job.all(lambda tracker, rank: tracker.figures.total)
    assert totals[0] == totals[1] == totals[2]
    job.clock.advance(7.1)
    said = job.all(lambda tracker, rank: tracker.end_epoch(1).stop)
    assert said[0] is not None
    assert said[0] == said[1] == said[2]
    job.stop()


def test_the_console_line_is_one_and_the_job_s(capsys: pytest.CaptureFixture[str]) -> None:
    job = Job(4, cpu, console=True).start()
    job.epoch(0, 3600.0)
    job.stop()
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 1
    assert "eco2ai: 100 Wh" in printed[0]
    assert "4 ranks" in printed[0]
    assert "100 W mean" in printed[0]


def test_a_rank_that_nobody_can_be_told_of_says_that_it_is_alone(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock(0.0)
    platform = fake_platform(clock, *cpu(0, clock), environ={"RANK": "0", "WORLD_SIZE": "4"})
    with Tracker(platform=platform, region="FR"):
        clock.advance(1.0)
    assert "rank 0 of 4 alone" in capsys.readouterr().err


# --- what only one may count ---------------------------------------------------------------------------------------


# --- failures ------------------------------------------------------------------------------------------------------


def test_a_rank_that_cannot_start_sends_nothing_and_is_named_by_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def meters(rank: int, clock: Clock) -> list[FakeMeter]:
        if rank == 2:
            raise RuntimeError("no such hardware")
        return cpu(rank, clock)

    job = Job(4, meters, console=True).start()
    scalars = job.epoch(0, 1.0)
    job.stop()
    assert joules(scalars[2]["eco2ai/energy_kwh"]) == pytest.approx(10 + 20 + 40)
    assert scalars[2] == scalars[0]
    named = "rank 2: tracker: no such hardware (RuntimeError)"
    assert {row["rank"]: named in row["failures"] for row in rows()} == {0: True, 1: True, 3: True}
    printed = capsys.readouterr().err
    assert "3 of 4 ranks" in printed
    assert named in printed
    found = next(iter(jobs(records(Path("eco2ai.jsonl"))).values()))
    assert (found.ranks, found.world_size, found.is_complete, found.said) == ((0, 1, 3), 4, False, "3 of 4 ranks")


def test_a_rank_whose_meter_fails_on_the_way_is_named_by_the_others() -> None:
    meters: list[FakeMeter] = []

    def find(rank: int, clock: Clock) -> list[FakeMeter]:
        meters.extend(found := cpu(rank, clock))
        return found

    job = Job(2, find).start()
    job.epoch(0, 1.0)
    broken = next(meter for meter in meters if meter.watts["cpu"] == 20.0)
    broken.watts = {}  # no longer gives its channel
    scalars = job.epoch(1, 1.0)
    job.stop()
    assert joules(scalars[0]["eco2ai/energy_kwh"]) == pytest.approx(10.0)
    assert joules(scalars[1]["eco2ai/total_energy_kwh"]) == pytest.approx(40.0)
    last = {row["rank"]: row["failures"] for row in rows()}
    assert any(failure.startswith("rank 1: constant: ") for failure in last[0])
    assert not any(failure.startswith("rank ") for failure in last[1])


def test_a_rank_that_was_interrupted_asks_nobody() -> None:
    job = Job(2, cpu).start()
    job.epoch(0, 1.0)
    job.trackers[1].stop("interrupted")  # would wait for the other for ever
    job.trackers[0].stop("interrupted")
    assert {row["ended"] for row in rows() if row["event"] == "stop"} == {"interrupted"}


def test_what_others_have_failed_at_is_not_told_on() -> None:
    told = [RankUsage(failures=("a: no",)), RankUsage(), RankStart(failures=("b: no", "c: no"))]
    assert remote_failures(told, rank=0) == ("rank 2: b: no", "rank 2: c: no")
    assert remote_failures(told, rank=1) == ("rank 0: a: no", "rank 2: b: no", "rank 2: c: no")


def test_a_share_misses_something_where_a_channel_is_gone() -> None:
    whole = Usage(1.0, {"cpu": 1.0, "gpu:a": 1.0})
    assert RankUsage().is_partial
    assert RankUsage(total=Usage(0.0, {"carried": 5.0})).is_partial
    assert RankUsage(train=Usage(1.0, {"cpu": 1.0}), total=whole).is_partial
    assert not RankUsage(train=whole, total=whole + Usage(0.0, {"carried": 5.0})).is_partial
    assert not RankUsage(total=whole).is_partial


def test_what_no_rank_has_is_absent_and_not_zero() -> None:
    job = sum_ranks([RankUsage(total=Usage(1.0)), RankUsage(total=Usage(1.0))])
    assert job.train is None
    assert job.samples is None
    assert job.total.energy_kwh is None
    assert job.total.seconds == 1.0


# --- resume --------------------------------------------------------------------------------------------------------


def stopped_job(size: int) -> Any:
    job = Job(size, cpu).start()
    job.epoch(0, 10.0)
    saved = job.trackers[0].checkpoint  # what rank 0 puts into the checkpoint
    job.stop()
    return saved


@pytest.mark.parametrize("size", [4, 2], ids=["as many ranks", "fewer ranks"])
def test_a_resumed_job_goes_on_with_the_sum_of_all_its_ranks(size: int) -> None:
    saved = stopped_job(4)
    assert joules(saved.energy_kwh) == pytest.approx(1000.0)
    assert saved.seconds == pytest.approx(10.0)
    job = Job(size, cpu).start(checkpoint=saved)
    scalars = job.epoch(1, 1.0)
    job.stop()
    found = rows()
    assert len({row["run"] for row in found}) == 1
    assert all(row["carried"] is None for row in found)
    assert joules(scalars[0]["eco2ai/total_energy_kwh"]) == pytest.approx(1000.0 + (100.0 if size == 4 else 30.0))
    merged = next(iter(jobs(records(Path("eco2ai.jsonl"))).values()))
    assert close(merged.total.energy_kwh or 0.0, scalars[0]["eco2ai/total_energy_kwh"])
    assert verify(Path("eco2ai.jsonl")).faults == ()
    started = [row for row in found if row["event"] == "start"][4:]
    assert all(row["continues"] for row in started)


def test_where_the_log_is_lost_the_first_rank_alone_carries_what_the_job_had_used() -> None:
    saved = stopped_job(4)
    Path("eco2ai.jsonl").unlink()
    job = Job(4, cpu).start(checkpoint=saved)
    scalars = job.epoch(1, 1.0)
    job.stop()
    carried = {row["rank"]: row["carried"] for row in rows() if row["event"] == "start"}
    assert joules(carried[0]["energy_kwh"]) == pytest.approx(1000.0)
    assert [carried[rank] for rank in (1, 2, 3)] == [None] * 3
    assert joules(scalars[0]["eco2ai/total_energy_kwh"]) == pytest.approx(1100.0)


def test_where_each_host_has_a_log_of_its_own_nothing_is_carried_twice() -> None:
    """Rank 1 writes elsewhere: what it knows of itself is not what the checkpoint alone knows."""
    own = {1: {"log_file": "other/eco2ai.jsonl"}}
    job = Job(2, cpu, own=own).start()
    job.epoch(0, 10.0)
    saved = job.trackers[0].checkpoint
    job.stop()
    again = Job(2, cpu, own=own)
    scalars = again.start(checkpoint=saved).epoch(1, 1.0)
    again.stop()
    everything = [*records(Path("eco2ai.jsonl")), *records(Path("other/eco2ai.jsonl"))]
    assert all(record.carried is None for record in everything)
    assert joules(scalars[0]["eco2ai/total_energy_kwh"]) == pytest.approx(330.0)
    assert next(iter(jobs(everything).values())).total.total_j == pytest.approx(330.0)


# --- one id --------------------------------------------------------------------------------------------------------


# --- how they tell each other --------------------------------------------------------------------------------------


# --- merging -------------------------------------------------------------------------------------------------------


def test_a_merge_reads_the_writers_own_files_too() -> None:
    job = Job(2, cpu).start()
    job.epoch(0, 1.0)
    job.stop()
    whole = Path("eco2ai.jsonl")
    lines = whole.read_text().splitlines(keepends=True)
    for line in lines:
        with Path(f"eco2ai.{json.loads(line)['writer']}.jsonl").open("a") as file:
            file.write(line)
    whole.unlink()
    found = next(iter(jobs(records(whole)).values()))
    assert found.said == "2 ranks"
    assert found.total.total_j == pytest.approx(30.0)


def test_the_gpus_of_all_ranks_are_there_each_once() -> None:
    a, b, again = (GpuHealth(index=index, seconds=9.0) for index in (0, 1, 5))
    found = sum_ranks([RankUsage(health={"GPU-a": a}), RankUsage(health={"GPU-b": b, "GPU-a": again}), RankUsage()])
    assert found.health == {"GPU-a": a, "GPU-b": b}
