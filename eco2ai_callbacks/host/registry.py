"""The registry of this user's trackers that run on this host now: one small file each, in a private folder.

Other users can neither add nor remove an entry. Whether they use the same GPU is found in the driver's list of
processes instead.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

from eco2ai_callbacks.host.machine import ancestors, process_identity
from eco2ai_callbacks.host.private import is_private, own_folder, read_own

# Largest entry, in bytes: a list of all GPUs of a host has less than a tenth of it.
MAX_BYTES = 64 * 1024
# Age in seconds at which an entry of another boot, host or container is removed: its process cannot be looked up here.
FORGET_S = 30 * 24 * 3600.0
# Age in seconds at which an unfinished entry is removed: its writer was killed.
_UNFINISHED_S = 60.0
# File systems store times in steps of some milliseconds: a folder that changed so recently may change undetected.
_STEP_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A running tracker.

    Args:
        writer: Id of its session.
        run: Id of the run that it writes for.
        host: Hash of the host's boot id.
        pid: Id of its process.
        started: Start time of that process, which distinguishes it from a later one with the same id.
        since: Start of the tracker, in seconds of the host's monotonic clock, which all its processes share.
        rank: Its rank.
        parent: Id of the run inside which it is measured.
        devices: UUIDs of the devices that it measures.
        channels: The channels that other processes of the host can read too (see
            :func:`~eco2ai_callbacks.distributed.ownership.shared_channels`).
        image: The program that the process runs (see :func:`~eco2ai_callbacks.host.machine.process_identity`): another
            one after ``execve`` knows nothing of the tracker.
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
    image: int = 0


class Registry:
    """A registry of the running trackers of this user on this host.

    Args:
        host: Hash of the host's boot id.
        folder: The folder of the entries; by default the one of :func:`~eco2ai_callbacks.host.private.own_folder`.
        proc: Mount point of procfs.
    """

    def __init__(self, host: str, folder: Path | None = None, proc: Path = Path("/proc")) -> None:
        self._host = host
        self._given = folder
        self._proc = proc
        # The user's folder, once it was found.
        self._found: Path | None = None
        # The folder's content and its state at the last listing; None where it may change undetected.
        self._listed: dict[str, tuple[_File, Entry | None]] = {}
        self._state: tuple[int, int, int] | None = None
        self._entries: tuple[Entry, ...] = ()

    def enter(self, entry: Entry) -> None:
        """Add a tracker's entry, and remove the entries of trackers that were killed.

        Raises:
            OSError: There is no private folder, or it cannot be written.
        """
        folder = self._folder(create=True)
        self._sweep(folder)
        whole = folder / f".{entry.writer}"
        whole.write_text(
            json.dumps({name: getattr(entry, name) for name in _DEFAULTS} | {"numbered_by": self._pid_namespace()}),
            encoding="utf-8",
        )
        whole.replace(folder / f"{entry.writer}.json")

    def leave(self, writer: str) -> None:
        """Remove a tracker's entry.

        Raises:
            OSError: The entry cannot be removed.
        """
        (self._folder() / f"{writer}.json").unlink(missing_ok=True)

    def entries(self) -> tuple[Entry, ...]:
        """Return the registered trackers of this host, the longest running first; some may have been killed.

        The folder is listed again, and an entry read again, only where it has changed since the last call: until then
        the same object is returned.
        """
        try:
            folder, state = self._look()
        except FileNotFoundError:
            self._found = None
            return ()
        if state is None or state != self._state:
            now_ns = time.time_ns()
            self._listed = {
                file.name: self._listed[file.name]
                if file.name in self._listed and self._listed[file.name][0] == file
                else (file, self._read(folder / file.name))
                for file in _files(folder)
                if file.name.endswith(".json")
            }
            self._state = state if state and now_ns - state[-1] > _STEP_NS else None
            self._entries = tuple(
                sorted((entry for _, entry in self._listed.values() if entry), key=lambda entry: entry.since)
            )
        return self._entries

    def living(self, keep: Callable[[Entry], bool] | None = None) -> list[Entry]:
        """Return the trackers whose process lives, the longest running first, and remove the entries of the others.

        Args:
            keep: Selects the entries whose process is looked up; all by default.
        """
        found = []
        for entry in self.entries():
            if keep is None or keep(entry):
                if self._lives(entry):
                    found.append(entry)
                else:
                    self._remove(self._folder() / f"{entry.writer}.json")  # left by a process that was killed
        return found

    def _folder(self, *, create: bool = False) -> Path:
        """Return the folder; looked up only where it is needed, for a machine may have none for temporary files."""
        if self._given is None:
            return own_folder(create=create)
        if create:
            self._given.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._given

    def _look(self) -> tuple[Path, tuple[int, int, int]]:
        """Return the folder and its state, which differs once an entry has come, gone or changed."""
        folder = self._found or self._folder()
        status = folder.lstat()
        if self._given is None and not is_private(status):  # it was removed, and somebody has taken the name
            folder = self._folder()
            status = folder.lstat()
        self._found = folder
        return folder, (status.st_dev, status.st_ino, status.st_mtime_ns)

    def _lives(self, entry: Entry) -> bool:
        # What this process is does not change as long as it runs this.
        own = entry.pid == os.getpid()
        started, image = _this_process(entry.pid, self._proc) if own else process_identity(entry.pid, self._proc)
        return started == entry.started and (0 in (entry.image, image) or image == entry.image)

    def _sweep(self, folder: Path) -> None:
        now = time.time()
        for file in _files(folder):
            age_s = now - file.changed_ns / 1e9
            dead = age_s > FORGET_S
            if file.name.endswith(".json"):
                entry = self._read(folder / file.name)
                dead = dead or (entry is not None and not self._lives(entry))
            elif file.name.startswith("."):
                dead = age_s > _UNFINISHED_S
            if dead:
                self._remove(folder / file.name)

    def _remove(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.unlink()

    def _read(self, path: Path) -> Entry | None:
        """Return an entry of this host and this PID namespace; ``None`` for every other file."""
        entry, numbered_by = _parsed(read_own(path, MAX_BYTES))
        # A container that shares the folder has a PID namespace of its own: its processes cannot be looked up here.
        return entry if entry and entry.host == self._host and numbered_by == self._pid_namespace() else None

    def _pid_namespace(self) -> str:
        """Return the PID namespace of this process, which process ids are valid in; empty where there is none."""
        try:
            return str((self._proc / "self/ns/pid").readlink())
        except OSError:
            return ""


def around_process(
    living: Sequence[Entry], ancestors: Iterable[int], run: str, within: Collection[str] = ()
) -> list[str]:
    """Return the runs that enclose a new tracker's process, the nearest first: those of its nearest ancestor with any.

    The process tree of each of them contains the process. Of several the one that was open where the process was forked
    comes first, else the youngest; the others follow, for it may end before them.

    Args:
        living: The running trackers, the longest running first.
        ancestors: The ancestors of the new tracker's process, the nearest first.
        run: The new tracker's run: another rank of the same run is not a parent.
        within: The runs that were open where the process was forked, as far as they are known.
    """
    by_pid: dict[int, list[Entry]] = {}
    for entry in living:
        if entry.run != run:
            by_pid.setdefault(entry.pid, []).append(entry)
    here = next((by_pid[pid] for pid in ancestors if pid in by_pid), [])
    runs = [entry.run for entry in reversed(here)]
    runs.sort(key=lambda each: each not in within)
    further = [each for entry in reversed(here) for each in ancestry(living, entry.run)]
    return [each for each in dict.fromkeys((*runs, *further)) if each != run]


def ancestry(living: Iterable[Entry], run: str | None) -> list[str]:
    """Return a run and the runs that enclose it, as running trackers name them, the nearest first; empty for ``None``.

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
    """Return the ids of this process and its ancestors, the nearest first."""
    return [os.getpid(), *ancestors()]


@functools.lru_cache(maxsize=2)
def _this_process(pid: int, proc: Path) -> tuple[float | None, int]:
    return process_identity(pid, proc)


@dataclass(frozen=True, slots=True)
class _File:
    """A version of a file in the folder: a file that was changed is not equal to it."""

    name: str
    number: int
    size: int
    changed_ns: int


def _files(folder: Path) -> Iterator[_File]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as found:
        for each in found:
            with contextlib.suppress(FileNotFoundError):
                status = each.stat(follow_symlinks=False)
                yield _File(each.name, status.st_ino, status.st_size, status.st_mtime_ns)


def _parsed(content: bytes) -> tuple[Entry | None, str]:
    """Return an entry, ``None`` where it is not whole, and the PID namespace of its process."""
    try:
        values = json.loads(content)
        found = {name: values.get(name, default) for name, default in _DEFAULTS.items()}
        numbered_by = values.get("numbered_by")
    except (ValueError, AttributeError, RecursionError):
        return None, ""
    sound = (
        all(isinstance(found[name], str) for name in ("writer", "run", "host"))
        and all(type(found[name]) in (int, float) for name in ("pid", "started", "since", "rank", "image"))
        and isinstance(found["parent"], str | None)
        and all(isinstance(found[name], list | tuple) for name in _LISTS)
        and all(isinstance(item, str) for name in _LISTS for item in found[name])
    )
    return (Entry(**found | {name: tuple(found[name]) for name in _LISTS}) if sound else None), str(numbered_by)


_LISTS = ("devices", "channels")
_DEFAULTS = {f.name: None if f.default is MISSING else f.default for f in fields(Entry)}
