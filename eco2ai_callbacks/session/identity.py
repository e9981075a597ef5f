"""The identity of a session: the run, the session that writes for it, and the one that it continues."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eco2ai_callbacks.parallel import sum_parallel
from eco2ai_callbacks.runlog.prior import PriorUsage, inheriting_rank
from eco2ai_callbacks.usage import Usage

# "1e5" is a number too.
_NOT_NUMERIC = frozenset("abcdf")


def new_id() -> str:
    """Return a random id for a run or a writer: 16 hexadecimal digits that no table reads as a number."""
    while _NOT_NUMERIC.isdisjoint(text := os.urandom(8).hex()):
        pass
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionIdentity:
    """The identity of a writer: run id, writer id, host, rank.

    Args:
        id: Id of the run: the whole job, all ranks and all resumed parts.
        writer: Id of this session.
        host: Hash of the host's boot id.
        rank: Number of this process within the job, from 0.
        world_size: Number of processes within the job.
        pid: Id of this process.
        around: Ids of the runs inside which this one begins, the nearest first.
        continues: The writer that this one continues, and the hash of its last line.
    """

    id: str
    writer: str
    host: str
    rank: int = 0
    world_size: int = 1
    pid: int = 0
    around: tuple[str, ...] = ()
    continues: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The run to continue: its id, and its totals as a checkpoint (or the same object) saved them.

    Args:
        run_id: The run's id.
        energy_kwh: Its energy at that time, or ``None``.
        co2_kg: Its CO2 at that time, or ``None``.
        seconds: Its seconds at that time.
        rank: The rank whose own totals these are; ``None`` where they are the whole job's.
    """

    run_id: str
    energy_kwh: float | None = None
    co2_kg: float | None = None
    seconds: float = 0.0
    rank: int | None = None

    def to_dict(self) -> dict[str, str | float | None]:
        """Return plain values, for a checkpoint."""
        whose = {} if self.rank is None else {"rank": self.rank}
        return {
            "run_id": self.run_id,
            "energy_kwh": self.energy_kwh,
            "co2_kg": self.co2_kg,
            "seconds": self.seconds,
            **whose,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Checkpoint | None:
        """Return the inverse of :meth:`to_dict`; ``None`` where a checkpoint holds something else."""
        run_id = values.get("run_id")
        if not isinstance(run_id, str):
            return None
        energy, co2, seconds = (_number(values.get(name)) for name in ("energy_kwh", "co2_kg", "seconds"))
        rank = values.get("rank")
        known = rank if isinstance(rank, int) and not isinstance(rank, bool) and rank >= 0 else None
        return cls(run_id, energy, co2, seconds or 0.0, known)


def carried_over(
    checkpoint: Checkpoint | None, identity: SessionIdentity, prior: PriorUsage, ranks: Sequence[Usage] | None
) -> dict[str, float | None] | None:
    """Return the usage that a checkpoint holds of a run and no log does, where this rank is the one to count it.

    The first rank counts what the saved total holds beyond the logs. Where the ranks exchange nothing, what one rank's
    own total holds beyond its log is counted by that rank, or by the one that continues its part.

    Args:
        checkpoint: The run to continue, as it was saved.
        identity: Identity of the writer.
        prior: Usage of earlier sessions, from the log.
        ranks: Usage of each rank's part in its log; ``None`` where the ranks exchange nothing.
    """
    if checkpoint is None:
        return None
    owner = 0 if checkpoint.rank is None else inheriting_rank(checkpoint.rank, identity.world_size)
    if identity.rank != owner if ranks is None else identity.rank != 0:
        return None
    if ranks is not None and checkpoint.rank is not None and checkpoint.rank < len(ranks):
        known = ranks[checkpoint.rank]
    elif ranks is not None:
        known = sum_parallel(ranks)
    else:
        known = prior.job if checkpoint.rank is None else prior.usage
    missing = {
        "energy_kwh": _beyond(checkpoint.energy_kwh, known.energy_kwh),
        "co2_kg": _beyond(checkpoint.co2_kg, known.co2_kg),
        "seconds": _beyond(checkpoint.seconds, known.seconds) or 0.0,
    }
    return missing if missing["energy_kwh"] or missing["co2_kg"] or missing["seconds"] else None


def _beyond(saved: float | None, known: float | None) -> float | None:
    """Return the excess of the saved figure over the known one; 0 for a rounding difference."""
    if saved is None:
        return None
    rest = saved - (known or 0.0)
    return rest if rest > 1e-9 * saved else 0.0


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= sys.float_info.max else None
