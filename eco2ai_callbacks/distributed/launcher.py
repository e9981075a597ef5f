"""Rank, world size and a common run id, from the variables that ``torchrun``, MPI and SLURM set."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eco2ai_callbacks.host.machine import process_started

if TYPE_CHECKING:
    import psutil


def rank_from(environ: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Return rank and world size as ``torchrun``, ``mpirun`` and SLURM set them; (0, 1) without a launcher."""
    launcher = _launcher(environ)
    return (0, 1) if launcher is None else (int(environ[launcher.rank]), int(environ[launcher.size]))


def ranks_here(environ: Mapping[str, str] = os.environ) -> int:
    """Return how many processes of the job run on this host, as the launcher says; 1 where it does not.

    Example:
        >>> ranks_here({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_TASKS_PER_NODE": "4(x2)"})
        4
    """
    launcher = _launcher(environ)
    # SLURM lists all nodes: `4(x2),3` are two of four and one of three. The first one's number stands for each.
    found = None if launcher is None else re.match(r"[1-9]\d{0,5}", environ.get(launcher.local_size, ""))
    return 1 if found is None else int(found[0])


@dataclass(frozen=True, slots=True)
class _Launcher:
    """The names of the variables that a launcher sets.

    Args:
        rank: Rank of the process.
        size: Number of processes of the job.
        local_size: Number of them on this host.
        job: Variables that together identify a job of this launcher.
    """

    rank: str
    size: str
    local_size: str
    job: tuple[str, ...]


# torch.distributed's environment, Open MPI's, MPICH's (and Intel MPI's), SLURM's. The last is set by `srun` alone: in a
# batch script SLURM_PROCID is 0 and SLURM_NTASKS the whole job's, for a single process.
_LAUNCHERS = (
    _Launcher(
        "RANK",
        "WORLD_SIZE",
        "LOCAL_WORLD_SIZE",
        ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT"),
    ),
    _Launcher("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", ("PMIX_NAMESPACE",)),
    _Launcher("PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS", ("PMI_JOBID",)),
    _Launcher("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE", ("SLURM_JOB_ID", "SLURM_STEP_ID")),
)
# Ids that `torchrun` gives to a job without a name.
_UNNAMED = ("", "none")


def restarts(environ: Mapping[str, str] = os.environ) -> int | None:
    """Return how often ``torchrun`` has restarted the ranks of this launch; ``None`` outside of one."""
    count = environ.get("TORCHELASTIC_RESTART_COUNT", "")
    return int(count) if count.isdecimal() and _launcher(environ) is _LAUNCHERS[0] else None


def launched_id(
    environ: Mapping[str, str] = os.environ,
    host: str = "",
    number: int = 0,
    launcher_of: Callable[[str], object] | None = None,
) -> str | None:
    """Return a run id that all processes of one launch compute alike; ``None`` for one process, or without a launcher.

    Where the launcher gives its job no name of its own, the processes that one launcher process has started on one host
    are a run.

    Args:
        environ: The launcher's variables.
        host: Hash of the host's boot id.
        number: Number of trackers that this process has started before: each is a run of its own.
        launcher_of: Returns the process that set a variable for this one; ``None`` where it is not found.
    """
    launcher = _launcher(environ)
    if launcher is None or int(environ[launcher.size]) < 2:
        return None
    alone = environ.get(launcher.local_size, "") == environ[launcher.size]
    return _id(launcher, environ, host, number, launcher_of, alone=alone)


def launched_ids(
    environ: Mapping[str, str] = os.environ,
    host: str = "",
    number: int = 0,
    launcher_of: Callable[[str], object] | None = None,
) -> tuple[str, ...]:
    """Return the ids that a launch's run may have, whose hosts and ranks change in number; a new run's first.

    The first one is the launching process's, whatever port the first rank listens at: ``torchrun`` may choose another
    one each time that it starts ranks. The others are those that :func:`launched_id` gives on one host and on several.

    Args:
        environ: The launcher's variables.
        host: Hash of the host's boot id.
        number: Number of trackers that this process has started before.
        launcher_of: Returns the process that set a variable for this one; ``None`` where it is not found.
    """
    launcher = _launcher(environ)
    if launcher is None:
        return ()
    # A process that makes several launches without a name tells them apart by their ports alone.
    named = environ.get(launcher.job[0], "") not in _UNNAMED
    anywhere = {**environ, "MASTER_ADDR": "", "MASTER_PORT": ""} if named else environ
    places = ((anywhere, True), (environ, True), (environ, False))
    found = [_id(launcher, at, host, number, launcher_of, alone=alone) for at, alone in places]
    return tuple(dict.fromkeys(each for each in found if each is not None))


def _id(
    launcher: _Launcher,
    environ: Mapping[str, str],
    host: str,
    number: int,
    launcher_of: Callable[[str], object] | None,
    *,
    alone: bool,
) -> str | None:
    """Return the id of a launch that is on one host alone, or on several; ``None`` where nothing tells it apart."""
    parts = [environ.get(name, "") for name in launcher.job]
    # Each launch gets a new port, unless the user sets it: on one host the launcher's process identifies the launch.
    if alone or parts[0] in _UNNAMED:
        started_by = (launcher_of or _started_by)(launcher.rank)
        if started_by is None:
            return None
        parts += [host, str(started_by)]
    return hashlib.sha256("\0".join([launcher.rank, *parts, str(number)]).encode()).hexdigest()[:16]


def _launcher(environ: Mapping[str, str]) -> _Launcher | None:
    for launcher in _LAUNCHERS:
        if environ.get(launcher.rank, "").isdecimal() and environ.get(launcher.size, "").isdecimal():
            return launcher
    return None


def _started_by(variable: str) -> tuple[int, float | None] | None:
    """Return id and start of the nearest ancestor without the variable; a shell in between has the variable too."""
    import psutil  # only a launch's processes look for their launcher

    try:
        for process in psutil.Process().parents():
            if variable not in _environ(process):
                return process.pid, process_started(process.pid)
    except psutil.Error:
        pass  # it has ended meanwhile
    return None


def _environ(process: psutil.Process) -> Mapping[str, str]:
    import psutil

    try:
        found: Mapping[str, str] = process.environ()
        return found
    except psutil.Error:  # another user's process, such as a batch system's
        return {}
