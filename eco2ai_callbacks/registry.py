"""Which trackers run on this host now: one small file each, in a folder that all users share."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from eco2ai_callbacks.host import process_started


@dataclass(frozen=True, slots=True)
class Entry:
    """A running tracker.

    Args:
        writer: Its id.
        run: The run that it writes for.
        host: Hash of the host's boot id.
        pid: Its process.
        started: When that process began, so that a later one of the same id is not taken for it.
        since: When the tracker began, in seconds of the wall clock.
        rank: Its rank.
        parent: The run inside which it is measured.
        devices: UUIDs of the devices that it measures.
    """

    writer: str
    run: str
    host: str
    pid: int
    started: float
    since: float
    rank: int = 0
    parent: str | None = None
    devices: tuple[str, ...] = ()


class Registry:
    """The running trackers of this host.

    Args:
        host: Hash of the host's boot id.
        folder: Where the entries lie; a folder below the system's for temporary files by default.
    """

    def __init__(self, host: str, folder: Path | None = None) -> None:
        self._host = host
        self._folder = folder or Path(tempfile.gettempdir()) / "eco2ai-trackers"

    def enter(self, entry: Entry) -> None:
        """Announce a tracker.

        Raises:
            OSError: The folder cannot be written.
        """
        if not self._folder.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(0o1777)  # as /tmp itself: all may enter, each removes its own
        whole = self._folder / f".{entry.writer}"
        whole.write_text(json.dumps(asdict(entry)))
        whole.rename(self._path(entry.writer))

    def leave(self, writer: str) -> None:
        """Take a tracker's entry away."""
        self._path(writer).unlink(missing_ok=True)

    def living(self) -> list[Entry]:
        """The trackers whose process lives, the longest running first."""
        entries = []
        for path in self._folder.glob("*.json"):
            entry = _read(path)
            if entry is None or entry.host != self._host:
                continue
            if process_started(entry.pid) == entry.started:
                entries.append(entry)
            elif path.owner() == _me():
                path.unlink(missing_ok=True)  # left by a process that was killed
        return sorted(entries, key=lambda entry: entry.since)

    def _path(self, writer: str) -> Path:
        return self._folder / f"{writer}.json"


def parent_of(living: Iterable[Entry], lineage: Iterable[int], run: str) -> str | None:
    """The run around a new tracker: the youngest in its own process, else in the nearest ancestor.

    Args:
        living: The running trackers.
        lineage: The new tracker's process and its ancestors, the nearest first.
        run: The new tracker's run: another rank of the same run is no parent.
    """
    by_pid: dict[int, Entry] = {}
    for entry in living:
        if entry.run != run:
            by_pid[entry.pid] = entry
    return next((by_pid[pid].run for pid in lineage if pid in by_pid), None)


def lineage() -> list[int]:
    """This process and its ancestors, the nearest first."""
    here = psutil.Process()
    return [here.pid, *(process.pid for process in here.parents())]


def _read(path: Path) -> Entry | None:
    try:
        values = json.loads(path.read_text())
        return Entry(**{**values, "devices": tuple(values["devices"])}) if isinstance(values, Mapping) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _me() -> str:
    return psutil.Process(os.getpid()).username()
