"""Which run a launch of torchrun writes for, before and after its ranks were restarted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from sessions import Written

from eco2ai_callbacks.distributed.messages import ProposedRun
from eco2ai_callbacks.host.machine import process_started
from eco2ai_callbacks.host.registry import Entry, Registry
from eco2ai_callbacks.session.launch import Launch

LAUNCHED = {
    "RANK": "0",
    "WORLD_SIZE": "2",
    "LOCAL_WORLD_SIZE": "1",
    "TORCHELASTIC_RUN_ID": "job",
    "MASTER_PORT": "1",
    "TORCHELASTIC_RESTART_COUNT": "0",
}
RESTARTED = {"TORCHELASTIC_RESTART_COUNT": "1"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "eco2ai.jsonl"


def launch(log: Path | None, rank: int = 0, number: int = 0, **environ: str) -> Launch:
    registry = None if log is None else log.parent / "trackers"
    return Launch(LAUNCHED | environ, "host", number, rank, log, registry)


def first(log: Path) -> str:
    """The run of the launch before any restart."""
    found = launch(log).of_job()
    assert found is not None
    assert not found.continued
    return found.run


def begun(log: Path, run: str, rank: int = 0, ended: str | None = None) -> Written:
    session = Written(log, run=run, rank=rank, world_size=2)
    session.mark()
    if ended is not None:
        session.stop(ended)
    return session


def test_all_of_a_launch_write_for_one_run(log: Path) -> None:
    run = ProposedRun(first(log))
    assert launch(log).of_rank() == launch(log, rank=1, RANK="1").of_rank() is not None
    assert launch(log, number=1).of_job() != run
    assert launch(None).of_job() == run


@pytest.mark.parametrize("ended", [None, "interrupted"], ids=["killed", "interrupted"])
def test_a_restart_goes_on_with_the_run(log: Path, ended: str | None) -> None:
    run = first(log)
    for rank in range(2):
        begun(log, run, rank, ended)
    goes_on = ProposedRun(run, True)
    assert launch(log, **RESTARTED).of_job() == goes_on
    assert [launch(log, rank, **RESTARTED).of_rank() for rank in range(2)] == [goes_on] * 2
    # One that stays alone, on one host.
    assert launch(log, WORLD_SIZE="1", **RESTARTED).of_job() == goes_on
    # The launcher does not count a restart for a host that comes or goes.
    assert launch(log, WORLD_SIZE="3").of_job() == goes_on
    # It may choose another port each time.
    assert launch(log, MASTER_PORT="2").of_job() == launch(log, MASTER_PORT="2", **RESTARTED).of_job() == goes_on


def test_ranks_that_have_begun_without_each_other_go_on_together(log: Path) -> None:
    proposed = launch(log).of_rank()
    assert proposed is not None
    begun(log, proposed.run)
    assert launch(log, **RESTARTED).of_job() == ProposedRun(proposed.run, True)


def test_a_rank_that_has_no_part_yet_goes_on_with_the_others(log: Path) -> None:
    run = first(log)
    begun(log, run, rank=1)
    assert launch(log, **RESTARTED).of_job() == ProposedRun(run, True)
    assert launch(log, rank=2, **RESTARTED).of_rank() == ProposedRun(run, True)


def test_a_run_that_has_finished_is_not_continued(log: Path) -> None:
    run = first(log)
    for rank in range(2):
        begun(log, run, rank, "finished")
    assert launch(log).of_job() is None
    assert launch(log, **RESTARTED).of_job() is None
    new = [launch(log, rank, **RESTARTED).of_rank() for rank in range(2)]
    assert new[0] == new[1]
    assert new[0] not in (None, ProposedRun(run), ProposedRun(run, True))


def test_a_restart_without_a_part_in_the_log_begins_anew(log: Path) -> None:
    run = first(log)
    assert launch(log, **RESTARTED).of_job() == ProposedRun(run)
    found = launch(log, **RESTARTED).of_rank()
    assert found is not None
    assert not found.continued


def test_a_run_that_is_measured_now_is_not_continued_by_a_child(log: Path) -> None:
    run = first(log)
    writer = begun(log, run).writer
    pid = os.getpid()
    registry = Registry("host", log.parent / "trackers")
    registry.enter(Entry(writer, run, "host", pid, process_started(pid) or 0.0, 1.0))
    assert launch(log).of_job() is None


@pytest.mark.parametrize(
    "environ",
    [{}, {"RANK": "0", "WORLD_SIZE": "2"}, {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_JOB_ID": "5"}],
    ids=["nothing", "variables alone", "slurm"],
)
def test_outside_of_torchrun_no_rank_proposes_a_launch_for_all(log: Path, environ: dict[str, Any]) -> None:
    assert Launch(environ, "host", 0, 0, log).of_job() is None


def test_each_writer_s_own_file_is_looked_into(log: Path) -> None:
    run = first(log)
    log.touch()
    begun(log.with_name("eco2ai.0a0a0a0a0a0a0a0a.jsonl"), run)
    assert launch(log, **RESTARTED).of_job() == ProposedRun(run, True)
