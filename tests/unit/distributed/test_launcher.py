"""Rank, world size and run id, from a launcher's variables."""

from __future__ import annotations

import os
import re
from typing import Any

import psutil
import pytest

from eco2ai_callbacks.distributed.launcher import launched_id, launched_ids, rank_from, ranks_here, restarts
from eco2ai_callbacks.host.machine import process_started

TORCHRUN = {
    "RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500",
    "TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_RESTART_COUNT": "0",
}  # fmt: skip


def test_the_processes_of_a_launch_come_to_one_id_and_launches_to_different_ones() -> None:
    def of(launcher: object = 7, host: str = "h", number: int = 0, **environ: str) -> str | None:
        return launched_id({**TORCHRUN, **environ}, host, number, lambda variable: launcher)

    assert of(RANK="0") == of(RANK="3") == of()
    others = [
        of(launcher=8),  # the same command, typed again
        of(host="another"),
        of(number=1),  # the second tracker of the same program
        of(TORCHELASTIC_RESTART_COUNT="1"),
        of(MASTER_PORT="29501"),
    ]
    assert len({of(), *others}) == 6
    assert of(launcher=None) is None
    assert of(WORLD_SIZE="1") is None
    assert launched_id({}) is None


def test_hosts_come_to_one_id_where_the_launch_has_a_name() -> None:
    def of(host: str, launcher: int, **environ: str) -> str | None:
        return launched_id({**TORCHRUN, "WORLD_SIZE": "8", **environ}, host, 0, lambda variable: launcher)

    assert of("a", 1, TORCHELASTIC_RUN_ID="5f1c") == of("b", 2, TORCHELASTIC_RUN_ID="5f1c")
    # Without one, two launches on the same hosts must not be taken for one: each host's part is a run then.
    assert of("a", 1) != of("b", 2)
    slurm = {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_JOB_ID": "1234", "SLURM_STEP_ID": "0"}
    assert launched_id(slurm, "a", 0, lambda variable: 1) == launched_id(slurm, "b", 0, lambda variable: 2)


class TestRank:
    @pytest.mark.parametrize(
        ("environ", "rank"),
        [
            ({}, (0, 1)),
            ({"RANK": "2", "WORLD_SIZE": "4"}, (2, 4)),
            ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, (1, 2)),
            ({"PMI_RANK": "5", "PMI_SIZE": "8"}, (5, 8)),
            ({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4"}, (3, 4)),
        ],
    )
    def test_every_launcher_is_known(self, environ: dict[str, str], rank: tuple[int, int]):
        assert rank_from(environ) == rank

    def test_torchrun_inside_of_slurm_tells_the_rank(self):
        environ = {"RANK": "7", "WORLD_SIZE": "8", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}
        assert rank_from(environ) == (7, 8)

    def test_a_batch_script_of_many_tasks_is_one_process(self):
        assert rank_from({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}) == (0, 1)

    @pytest.mark.parametrize(
        "environ", [{"RANK": "2"}, {"RANK": "x", "WORLD_SIZE": "4"}, {"RANK": "", "WORLD_SIZE": "4"}]
    )
    def test_half_an_answer_is_none(self, environ: dict[str, str]):
        assert rank_from(environ) == (0, 1)

    def test_the_environment_of_the_process_is_the_default(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("WORLD_SIZE", "3")
        assert rank_from() == (1, 3)


LAUNCHED = {
    "RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "TORCHELASTIC_RUN_ID": "job",
    "MASTER_ADDR": "node0",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_RESTART_COUNT": "0",
}


class TestLaunch:
    """The processes of one launch come to one run id by themselves, and those of two launches to two."""

    def id(self, host: str = "h", number: int = 0, launcher: object = 1, **environ: str) -> str | None:
        return launched_id(LAUNCHED | environ, host, number, lambda variable: launcher)

    def test_ranks_and_hosts_of_one_launch_agree(self):
        assert self.id() == self.id(RANK="2") == self.id(host="other", launcher=2, RANK="3")
        assert re.fullmatch("[0-9a-f]{16}", self.id() or "")

    @pytest.mark.parametrize(
        "other",
        [
            {"TORCHELASTIC_RUN_ID": "another"},
            {"MASTER_PORT": "29501"},
            {"TORCHELASTIC_RESTART_COUNT": "1"},
            {"number": 1},
        ],
    )
    def test_launches_differ(self, other: dict[str, Any]):
        assert self.id(**other) != self.id()

    @pytest.mark.parametrize("unnamed", [{"TORCHELASTIC_RUN_ID": "none"}, {"LOCAL_WORLD_SIZE": "4"}])
    def test_where_no_name_tells_it_apart_the_launching_process_does(self, unnamed: dict[str, str]):
        assert self.id(**unnamed, launcher=1) == self.id(**unnamed, launcher=1, RANK="3")
        assert self.id(**unnamed, launcher=1) != self.id(**unnamed, launcher=2)
        assert self.id(**unnamed, launcher=None) is None

    def test_a_process_alone_was_not_launched(self):
        assert launched_id({}) is None
        assert launched_id(LAUNCHED | {"WORLD_SIZE": "1"}) is None

    def test_the_launching_process_is_the_nearest_that_lacks_the_variable(self, monkeypatch: pytest.MonkeyPatch):
        ours = {"environ": LAUNCHED | {"LOCAL_WORLD_SIZE": "4"}, "host": "h"}
        # None above these tests has a rank: their parent is the nearest.
        parent = os.getppid()
        expected = launched_id(**ours, launcher_of=lambda variable: (parent, process_started(parent)))
        assert "RANK" not in psutil.Process(parent).environ()
        assert launched_id(**ours) == expected

        def refuse(self: psutil.Process) -> dict[str, str]:
            raise psutil.AccessDenied

        monkeypatch.setattr(psutil.Process, "environ", refuse)
        assert launched_id(**ours) == expected

    def test_where_it_is_gone_or_not_to_be_seen_nothing_is_known(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(psutil.Process, "environ", lambda self: LAUNCHED)
        assert launched_id(LAUNCHED | {"LOCAL_WORLD_SIZE": "4"}) is None

        def gone(self: psutil.Process) -> list[psutil.Process]:
            raise psutil.NoSuchProcess(1)

        monkeypatch.setattr(psutil.Process, "parents", gone)
        assert launched_id(LAUNCHED | {"LOCAL_WORLD_SIZE": "4"}) is None


@pytest.mark.parametrize(
    ("environ", "ranks"),
    [
        ({}, 1),
        ({"RANK": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}, 4),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, 2),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_TASKS_PER_NODE": "4(x2)"}, 4),
        ({"RANK": "1", "WORLD_SIZE": "8"}, 1),
        ({"RANK": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "many"}, 1),
    ],
    ids=["alone", "torchrun", "Open MPI", "SLURM", "not said", "no number"],
)
def test_the_ranks_of_this_host_are_what_the_launcher_says(environ: dict[str, str], ranks: int) -> None:
    assert ranks_here(environ) == ranks


class TestRestarts:
    """torchrun restarts all ranks, also on fewer or more hosts."""

    @pytest.mark.parametrize(
        ("environ", "count"),
        [
            ({}, None),
            ({"TORCHELASTIC_RESTART_COUNT": "1"}, None),  # left over in the environment: this is no rank
            (LAUNCHED, 0),
            ({**LAUNCHED, "TORCHELASTIC_RESTART_COUNT": "3"}, 3),
            ({**LAUNCHED, "TORCHELASTIC_RESTART_COUNT": "many"}, None),
            ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2", "TORCHELASTIC_RESTART_COUNT": "1"}, None),
        ],
        ids=["no launcher", "no rank", "none yet", "three", "no number", "another launcher"],
    )
    def test_they_are_counted(self, environ: dict[str, str], count: int | None):
        assert restarts(environ) == count

    def test_a_launch_keeps_its_first_id_wherever_its_first_rank_listens(self):
        def of(**environ: str) -> tuple[str, ...]:
            return launched_ids(LAUNCHED | environ, "h", 0, lambda variable: 1)

        assert len(of()) == 3
        # Ranks that propose a run without each other have one of these.
        assert launched_id(LAUNCHED, "h", 0, lambda variable: 1) in of()
        assert launched_id(LAUNCHED | {"LOCAL_WORLD_SIZE": "4"}, "h", 0, lambda variable: 1) in of()
        # Hosts leave.
        assert of(WORLD_SIZE="2") == of(WORLD_SIZE="1", LOCAL_WORLD_SIZE="1") == of()
        # The ranks are started again at another port.
        moved = of(MASTER_PORT="4", MASTER_ADDR="there")
        assert moved[0] == of()[0]
        assert set(moved[1:]).isdisjoint(of())

    def test_launches_of_one_process_are_told_apart_by_name_or_port(self):
        def first(**environ: str) -> str:
            return launched_ids(LAUNCHED | environ, "h", 0, lambda variable: 1)[0]

        assert first(TORCHELASTIC_RUN_ID="other") != first()
        unnamed = {"TORCHELASTIC_RUN_ID": "none"}
        assert first(**unnamed, MASTER_PORT="1") != first(**unnamed, MASTER_PORT="2")

    def test_without_a_launching_process_or_a_launcher_there_are_fewer(self):
        assert launched_ids({}) == ()
        found = launched_ids(LAUNCHED, "h", 0, lambda variable: None)
        assert found == (launched_id(LAUNCHED, "h", 0, lambda variable: None),)
        assert launched_ids(LAUNCHED | {"TORCHELASTIC_RUN_ID": "none"}, "h", 0, lambda variable: None) == ()
