"""Identifies a session: the run, the session that writes for it, and what it continues."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from eco2ai_callbacks.usage import Usage


def new_id() -> str:
    """A random id, of a run or a writer."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionIdentity:
    """Identifies who writes: run id, writer id, host, rank.

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
class Checkpoint:
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
    def from_dict(cls, values: Mapping[str, object]) -> Checkpoint | None:
        """The inverse of :meth:`to_dict`; ``None`` where a checkpoint holds something else."""
        run_id = values.get("run_id")
        if not isinstance(run_id, str):
            return None
        energy, co2, seconds = (_number(values.get(name)) for name in ("energy_kwh", "co2_kg", "seconds"))
        return cls(run_id, energy, co2, seconds or 0.0)


def carried_over(checkpoint: Checkpoint | None, known: Usage) -> dict[str, float | None] | None:
    """Return what a checkpoint knows of a run and the log does not; ``None`` where that is nothing.

    Args:
        checkpoint: The run to continue, as it was saved.
        known: What the log holds of the run.
    """
    if checkpoint is None:
        return None
    missing = {
        "energy_kwh": _beyond(checkpoint.energy_kwh, known.energy_kwh),
        "co2_kg": _beyond(checkpoint.co2_kg, known.co2_kg),
        "seconds": _beyond(checkpoint.seconds, known.seconds) or 0.0,
    }
    return missing if missing["energy_kwh"] or missing["co2_kg"] or missing["seconds"] else None


def _beyond(saved: float | None, known: float | None) -> float | None:
    """Return how much more was saved than is known; a rounding difference is no energy."""
    if saved is None:
        return None
    rest = saved - (known or 0.0)
    return rest if rest > 1e-9 * saved else 0.0


def _number(value: object) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    return float(value) if good else None  # type: ignore[arg-type]
