"""Write a CSV with eco2AI's columns, for tools that read it."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eco2ai_callbacks.guard import logger
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.sinks.csv_form import COLUMNS, HEAD, Form, form_of

if sys.platform == "win32":
    import msvcrt

    _TAKEN = PermissionError
else:
    import fcntl

    _TAKEN = BlockingIOError

# What eco2AI writes where there is no value.
_NONE = "N/A"
# How long a row waits for the lock of another writer, in seconds. It is then written without the lock.
LOCK_S = 2.0
# How often a lock that is taken is asked for again, in seconds.
_POLL_S = 0.001
# How long another writer's row may stand still in the middle before it is taken to be torn, in seconds.
_GROWS_S = 0.002
# The byte that is locked on Windows, where a lock keeps readers out: far behind the rows.
_LOCKED_BYTE = 2**31 - 2


@dataclass(slots=True)
class _Sum:
    """The sums of a row."""

    start: str = ""
    seconds: float = 0.0
    energy_kwh: float | None = None
    co2_kg: float | None = None
    cost: float | None = None

    def add(self, record: Record) -> None:
        """Add a record."""
        self.start = self.start or record.start
        self.seconds += record.seconds
        energy = None if record.energy_kwh is None else record.energy_kwh * record.pue
        self.energy_kwh = _plus(self.energy_kwh, energy)
        self.co2_kg = _plus(self.co2_kg, record.co2_kg)
        self.cost = _plus(self.cost, record.cost)


def open_csv(settings: Settings, host: Host) -> CsvFile | None:
    """Return the CSV that the setting ``csv_file`` asks for; ``None`` where it asks for none.

    Args:
        settings: The settings in force.
        host: The machine, whose processor is named in each row.
    """
    return None if settings.csv_file is None else CsvFile(settings.csv_file.absolute(), host.cpu_name)


class CsvFile:
    """A CSV with one row per epoch of training and a last row for everything else; the rows add up to the run.

    Several processes may write to one file. It has one header, and every row is whole. A file of an older eco2AI is
    continued in its own form. A file that is none of eco2AI's is left alone: the rows go beside it, under another name.

    Args:
        path: The file; rows are appended.
        cpu: The processor's name.
    """

    name = "CSV file"

    def __init__(self, path: Path, cpu: str = "") -> None:
        self._path = path
        self._cpu = cpu
        self._gpu = _NONE
        self._epoch = _Sum()
        self._rest = _Sum()

    def write(self, record: Record) -> None:
        """Add a record to the sums, and write a row at the end of an epoch and of the run.

        Raises:
            OSError: The file cannot be written; the sums of the row go into the next one.
        """
        if record.event == "start":
            self._gpu = _devices(record.sources or ()) or _NONE
        if not record.adds:
            return
        (self._epoch if record.stage == "train" else self._rest).add(record)
        if record.event == "epoch":
            self._row(record, f"epoch: {record.epoch}", self._epoch)
            self._epoch = _Sum()
        elif record.event == "stop":
            self._row(record, _NONE, _both(self._rest, self._epoch))

    def close(self) -> None:
        """Do nothing: the file is open only while a row is written."""

    def _row(self, record: Record, epoch: str, row: _Sum) -> None:
        grid = record.intensity or {}
        values = (
            record.run,
            record.project,
            record.description,
            epoch,
            row.start.replace("T", " ")[:19],
            row.seconds,
            _shown(row.energy_kwh),
            _shown(row.co2_kg),
            self._cpu or _NONE,
            self._gpu,
            platform.system(),
            grid.get("name") or _NONE,
            _shown(row.cost),
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for path in _names(self._path):
            if not path.exists():
                _create(path)
            if _append(path, dict(zip(COLUMNS, values, strict=True))):
                break
        if path != self._path:
            with contextlib.suppress(Exception):  # a log handler of the user's
                logger.warning("%s is no CSV of eco2AI, so the rows go to %s", self._path, path)
            self._path = path


def _devices(sources: Iterable[Mapping[str, Any]]) -> str:
    """Return number and model of each device that is read, each once: ``0: NVIDIA L4, 1: NVIDIA L4``."""
    devices = [device for source in sources if source["used"] for device in source.get("devices", ())]
    return ", ".join(dict.fromkeys(f"{device['index']}: {device['name']}" for device in devices))


def _create(path: Path) -> None:
    """Create the file with its header in one step, or leave it to :func:`_append` where links are not supported."""
    whole = path.with_name(f".eco2ai-{os.urandom(8).hex()}")
    # A file that another writer has created in the meantime stays.
    with contextlib.suppress(OSError, NotImplementedError):
        try:
            whole.write_bytes(Form().header())
            path.hardlink_to(whole)
        finally:
            whole.unlink(missing_ok=True)


def _append(path: Path, values: Mapping[str, object]) -> bool:
    """Append a row in one write, and return whether the file is one of eco2AI's; nothing is written to another.

    Raises:
        OSError: The file cannot be written, or not the whole row.
    """
    file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with _locked(file):
            data = _continuation(file, values)
            if data is None:
                return False
            written = os.write(file, data)
    finally:
        os.close(file)
    # A row that lacks only its newline is in the file: the next row puts that first.
    if written < len(data) - 1:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    return True


def _continuation(file: int, values: Mapping[str, object]) -> bytes | None:
    """Return what a row is appended as; ``None`` where the file is none of eco2AI's.

    In an empty file the header comes first, or what is missing of it, and a newline behind a last line that is torn.
    """
    torn = _is_torn(file)
    os.lseek(file, 0, os.SEEK_SET)
    head = os.read(file, HEAD)
    header = Form().header()
    if header.startswith(head):
        return header[len(head) :] + Form().row(values)
    form = form_of(head)
    return None if form is None else form.newline.encode() * torn + form.row(values)


@contextlib.contextmanager
def _locked(file: int) -> Iterator[None]:
    """Hold the lock of a file; go on without it where it is not supported or not free within two seconds."""
    held = _acquire(file)
    try:
        yield
    finally:
        if held:
            with contextlib.suppress(OSError):  # closing the file does it too
                _unlock(file)


def _acquire(file: int) -> bool:
    deadline = time.monotonic() + LOCK_S
    with contextlib.suppress(OSError):  # the file system has no locks
        while not _lock(file):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True
    return False


def _lock(file: int) -> bool:
    """Take the lock, and return whether it was free.

    Raises:
        OSError: The file system has no locks.
    """
    try:
        if sys.platform == "win32":
            os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except _TAKEN:
        return False
    return True


def _unlock(file: int) -> None:
    """Give the lock back at once: a child that was forked meanwhile holds the open file too."""
    if sys.platform == "win32":
        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_UN)


def _is_torn(file: int) -> bool:
    """Return whether the file ends inside a line; a line that still grows belongs to a writer without the lock."""
    before, size = -1, os.fstat(file).st_size
    while size != before:
        os.lseek(file, max(0, size - 1), os.SEEK_SET)
        if os.read(file, 1) in (b"", b"\n"):
            return False
        time.sleep(_GROWS_S)
        before, size = size, os.fstat(file).st_size
    return True


def _names(path: Path) -> Iterator[Path]:
    """Return the file, and the names beside it for where it is none of eco2AI's."""
    yield path
    yield path.with_name(f"{path.stem}.eco2ai{path.suffix}")
    for number in itertools.count(2):
        yield path.with_name(f"{path.stem}.eco2ai-{number}{path.suffix}")


def _both(one: _Sum, other: _Sum) -> _Sum:
    starts = [s.start for s in (one, other) if s.start]
    return _Sum(
        min(starts, default=""),
        one.seconds + other.seconds,
        _plus(one.energy_kwh, other.energy_kwh),
        _plus(one.co2_kg, other.co2_kg),
        _plus(one.cost, other.cost),
    )


def _plus(one: float | None, other: float | None) -> float | None:
    return (one or 0.0) + other if other is not None else one


def _shown(value: float | None) -> float | str:
    return _NONE if value is None else value
