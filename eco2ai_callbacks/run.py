"""Who writes: the run, the session that writes for it, and what it continues or is part of."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass


def new_id() -> str:
    """A random id, of a run or a writer."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The identity of one session of a run.

    Args:
        id: The whole job's, all ranks and all resumed parts.
        writer: This session's.
        host: Hash of the host's boot id.
        rank: Number of this process within the job, from 0.
        world_size: Number of processes within the job.
        pid: This process.
        parent: The run inside which this one is measured.
        continues: The writer that this one goes on from, and the hash of its last line.
    """

    id: str
    writer: str
    host: str
    rank: int = 0
    world_size: int = 1
    pid: int = 0
    parent: str | None = None
    continues: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """What is known of the run to continue: its id, and its totals as a checkpoint (or the same object) saved them.

    Args:
        run_id: The run's id.
        energy_kwh: Its energy then, or ``None``.
        co2_kg: Its CO2 then, or ``None``.
        seconds: Its seconds then.
    """

    run_id: str
    energy_kwh: float | None = None
    co2_kg: float | None = None
    seconds: float = 0.0

    def to_dict(self) -> dict[str, str | float | None]:
        """Plain values, for a checkpoint."""
        return {
            "run_id": self.run_id,
            "energy_kwh": self.energy_kwh,
            "co2_kg": self.co2_kg,
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Resume | None:
        """The inverse of :meth:`to_dict`; ``None`` where a checkpoint holds something else."""
        run_id = values.get("run_id")
        if not isinstance(run_id, str):
            return None
        energy, co2, seconds = (_number(values.get(name)) for name in ("energy_kwh", "co2_kg", "seconds"))
        return cls(run_id, energy, co2, seconds or 0.0)


def rank_from(environ: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Rank and world size as ``torchrun``, ``mpirun`` and SLURM tell them; (0, 1) where nobody does."""
    for rank, size in _LAUNCHERS:
        if environ.get(rank, "").isdecimal() and environ.get(size, "").isdecimal():
            return int(environ[rank]), int(environ[size])
    return 0, 1


# torch.distributed's environment, Open MPI's, MPICH's (and Intel MPI's), SLURM's. The last is set by `srun` alone: in a
# batch script SLURM_PROCID is 0 and SLURM_NTASKS the whole job's, for a single process.
_LAUNCHERS = (
    ("RANK", "WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)


def _number(value: object) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    return float(value) if good else None  # type: ignore[arg-type]
