"""Which trackers run on this host now: one small file each, in a folder that all users share."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from eco2ai_callbacks.host.machine import process_started


@dataclass(frozen=True, slots=True)
class Entry:
    """A running tracker.

    Args:
        writer: Its id.
        run: The run that it writes for.
        host: Hash of the host's boot id.
        pid: Its process.
        started: When that process began, so that a later one of the same id is not taken for it.
        since: When the tracker began, in seconds of the host's monotonic clock, which all its processes share.
        rank: Its rank.
        parent: The run inside which it is measured.
        devices: UUIDs of the devices that it measures.
        channels: The channels that other processes of the host can read too (see
            :func:`~eco2ai_callbacks.distributed.messages.common`).
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
    channels: tuple[str, ...] = ()


class Registry:
    """The running trackers of this host.

    Args:
        host: Hash of the host's boot id.
        folder: Where the entries lie; a folder below the system's for temporary files by default.
        proc: Where procfs is mounted.
    """

    def __init__(self, host: str, folder: Path | None = None, proc: Path = Path("/proc")) -> None:
        self._host = host
        self._given = folder
        self._proc = proc

    @property
    def _folder(self) -> Path:
        """Looked up only where it is needed: a machine may have no folder for temporary files."""
        return self._given or Path(tempfile.gettempdir()) / "eco2ai-trackers"

    def enter(self, entry: Entry) -> None:
        """Announce a tracker.

        Raises:
            OSError: The folder cannot be written.
        """
        if not self._folder.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(0o1777)  # as /tmp itself: all may enter, each removes its own
        whole = self._folder / f".{entry.writer}"
        whole.write_text(json.dumps(asdict(entry) | {"numbered_by": self._pid_namespace()}))
        whole.chmod(0o644)  # for others to read, whatever the mask for new files
        whole.replace(self._path(entry.writer))

    def leave(self, writer: str) -> None:
        """Take a tracker's entry away."""
        self._path(writer).unlink(missing_ok=True)

    def living(self) -> list[Entry]:
        """The trackers whose process lives, the longest running first."""
        entries = []
        here = self._pid_namespace()
        for path in self._folder.glob("*.json"):
            entry, numbered_by = _read(path)
            # A container that shares the folder numbers its processes by itself: nothing can be said of them here.
            if entry is None or entry.host != self._host or numbered_by != here:
                continue
            if process_started(entry.pid, self._proc) == entry.started:
                entries.append(entry)
            else:
                with contextlib.suppress(OSError):  # another user's
                    path.unlink()  # left by a process that was killed
        return sorted(entries, key=lambda entry: entry.since)

    def _path(self, writer: str) -> Path:
        return self._folder / f"{writer}.json"

    def _pid_namespace(self) -> str:
        """What gives processes their numbers: the kernel's name space of them; empty where there is none."""
        try:
            return str((self._proc / "self/ns/pid").readlink())
        except OSError:
            return ""


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


def ancestry(living: Iterable[Entry], run: str | None) -> list[str]:
    """A run and those around it that still run, the nearest first; empty for none.

    Args:
        living: The running trackers.
        run: The run's id.
    """
    parents = {entry.run: entry.parent for entry in living}
    found: list[str] = []
    while run is not None and run not in found:
        found.append(run)
        run = parents.get(run)
    return found


def lineage() -> list[int]:
    """This process and its ancestors, the nearest first."""
    here = psutil.Process()
    return [here.pid, *(process.pid for process in here.parents())]


def _read(path: Path) -> tuple[Entry | None, str]:
    """An entry, if there is a whole one in a file that anybody may have written, and what numbered its process."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        found = {name: values.get(name, default) for name, default in _DEFAULTS.items()}
        numbered_by = values.get("numbered_by")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None, ""
    sound = (
        all(isinstance(found[name], str) for name in ("writer", "run", "host"))
        and all(type(found[name]) in (int, float) for name in ("pid", "started", "since", "rank"))
        and isinstance(found["parent"], str | None)
        and all(isinstance(found[name], list | tuple) for name in _LISTS)
        and all(isinstance(item, str) for name in _LISTS for item in found[name])
    )
    return (Entry(**found | {name: tuple(found[name]) for name in _LISTS}) if sound else None), str(numbered_by)


_LISTS = ("devices", "channels")
_DEFAULTS = {f.name: None if f.default is dataclasses.MISSING else f.default for f in dataclasses.fields(Entry)}
