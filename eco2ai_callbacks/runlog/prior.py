"""What a run has used before this session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from eco2ai_callbacks.usage import Usage


@dataclass(frozen=True, slots=True)
class PriorUsage:
    """The usage of a run before this session.

    Args:
        usage: Sum of this rank's part.
        attempts: How often each epoch was begun.
        continues: The writer that wrote last, and the hash of its last line.
        job: Sum of all ranks' parts, as far as this log holds them.
        note: What may be missing from it, as one clause; ``None`` where nothing is.
    """

    usage: Usage = field(default_factory=Usage)
    attempts: Mapping[int, int] = field(default_factory=dict)
    continues: Mapping[str, str] | None = None
    job: Usage = field(default_factory=Usage)
    note: str | None = None


def inheriting_rank(rank: int, world_size: int) -> int:
    """Return the rank that continues a rank's usage: the same one, or the first where there are fewer ranks now."""
    return rank if rank < world_size else 0
