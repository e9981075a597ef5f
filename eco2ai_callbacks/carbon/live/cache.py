"""Figures of live sources on the disk: many processes and runs ask once."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eco2ai_callbacks.carbon.series import Span

_LARGEST = 5 * 2**20


@dataclass(frozen=True, slots=True)
class Kept:
    """Figures on the disk.

    Args:
        asked_s: When the source was asked, in Unix seconds.
        spans: Its figures.
    """

    asked_s: float
    spans: tuple[Span, ...]


def folder() -> Path:
    """Return this user's folder for them; needs the extra ``live``."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("eco2ai_callbacks", appauthor=False)) / "intensity"


def load(where: Path, key: str) -> Kept | None:
    """Return what is kept by a key; ``None`` where there is nothing, or something else."""
    path = where / f"{key}.json"
    try:
        if path.stat().st_size > _LARGEST:
            return None
        values = json.loads(path.read_bytes())
        spans = tuple(Span(float(begin), float(end), float(g)) for begin, end, g in values["spans"])
        good = all(span.begin_s < span.end_s and 0 <= span.g_per_kwh <= 5000 for span in spans)
        return Kept(float(values["asked_s"]), spans) if good else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def store(where: Path, key: str, asked_s: float, spans: Sequence[Span]) -> None:
    """Keep figures; a disk that takes none is no failure, for the next process asks by itself."""
    content = json.dumps({"asked_s": asked_s, "spans": [[span.begin_s, span.end_s, span.g_per_kwh] for span in spans]})
    with contextlib.suppress(OSError):
        where.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Replaced as a whole: another process may read it now.
        part = where / f".{key}.{os.getpid()}"
        part.write_text(content, encoding="utf-8")
        part.replace(where / f"{key}.json")
