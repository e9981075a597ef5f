"""Keep a file with Prometheus's counters of the run up to date, for node_exporter's textfile collector."""

from __future__ import annotations

import os
import re
from pathlib import Path

from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.sinks.counters import counters_of
from eco2ai_callbacks.sinks.prometheus_text import as_text


def open_prometheus(settings: Settings, host: Host) -> PrometheusFile | None:
    """Return the file that the setting ``prometheus_file`` asks for; ``None`` where it asks for none."""
    del host
    path = settings.prometheus_file
    return None if path is None else PrometheusFile(path.absolute())


class PrometheusFile:
    """A file with what the run has used so far, replaced as a whole at each mark and heartbeat.

    Ranks above 0 write beside it (``eco2ai.rank1.prom``), and so does a run whose file another process has replaced
    (``eco2ai.<run>.prom``): two runs of one name would take turns in it, and their counters with them.

    Args:
        path: The file; the collector reads names that end in ``.prom``.
    """

    name = "Prometheus file"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own: int | None = None
        self._chosen = False

    def write(self, record: Record) -> None:
        """Write what the run has used so far.

        Raises:
            OSError: The file cannot be written.
        """
        if not (record.adds or record.event in ("start", "heartbeat")):
            return
        counters = counters_of(record)
        if counters is None:
            return
        if not self._chosen and record.rank:
            self._path, self._chosen = self._beside(f"rank{record.rank}"), True
        if self._own is not None and _inode(self._path) not in (None, self._own):
            self._path = self._beside(re.sub(r"[^\w-]", "_", record.run)[:64])
        self._own = _replace(self._path, as_text([counters]).encode("utf-8", "replace"))

    def close(self) -> None:
        """Do nothing: the file stays with the run's last figures, as counters do."""

    def _beside(self, part: str) -> Path:
        return self._path.with_name(f"{self._path.stem}.{part}{self._path.suffix}")


def _replace(path: Path, content: bytes) -> int | None:
    """Put a file in its place by renaming, so that no reader sees a part of it; return its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name that the collector does not read.
    part = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        part.write_bytes(content)
        number = _inode(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return number


def _inode(path: Path) -> int | None:
    """Return the number of a file; ``None`` where there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
