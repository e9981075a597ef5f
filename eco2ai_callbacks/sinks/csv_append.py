"""Append lines to a file that several processes write to, or to one beside it where the file is another's."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eco2ai_callbacks.guard import logger

if sys.platform == "win32":
    import msvcrt

    _TAKEN = PermissionError
else:
    import fcntl

    _TAKEN = BlockingIOError

# How long a row waits for the lock of another writer, in seconds. It is then written without the lock.
LOCK_S = 2.0
# How often a lock that is taken is asked for again, in seconds.
_POLL_S = 0.001
# How long another writer's row may stand still in the middle before it is taken to be torn, in seconds.
_GROWS_S = 0.002
# The byte that is locked on Windows, where a lock keeps readers out: far behind the rows.
_LOCKED_BYTE = 2**31 - 2
# As much of a file as decides whether it is continued, in bytes: the header and the first row.
HEAD = 2**16


class Line(Protocol):
    """A line that files of one kind are continued with."""

    @property
    def kind(self) -> str:
        """What the files are, for messages: ``CSV of eco2AI``."""

    @property
    def first(self) -> bytes:
        """What a file begins with, with its newline; empty where it begins with a line like all others."""

    def below(self, head: bytes, *, torn: bool, quoted: bool) -> bytes | None:
        """Return what is appended to a file that is not empty; ``None`` where it is of another kind.

        Args:
            head: The beginning of the file.
            torn: Whether the file ends inside a line.
            quoted: Whether it ends inside quotation marks.
        """

    def alone(self) -> bytes:
        """Return the line as it follows :attr:`first`."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was appended to a file.

    Args:
        path: The file.
        offset: Where it begins.
        data: The line, and what came before it.
    """

    path: Path
    offset: int
    data: bytes


def append(path: Path, line: Line) -> Written:
    """Append a line in one write, under a lock, and return where it is.

    A file of another kind is left alone: the line goes to a file beside it, and that is logged.

    Args:
        path: The file; it and its folder are created where they are missing.
        line: The line.

    Raises:
        OSError: The file cannot be written, or not the whole line.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    names = _names(path)
    while (written := _created(next(names), line)) is None:
        pass
    if written.path != path:
        with contextlib.suppress(Exception):  # a log handler of the user's
            logger.warning("%s is no %s, so the rows go to %s", path, line.kind, written.path)
    return written


def replace(written: Written, line: Line) -> Written | None:
    """Write a line in the place of one that is as long; ``None`` where that one is no longer there.

    Args:
        written: What is there.
        line: The new line.

    Raises:
        OSError: The file cannot be written.
    """
    try:
        file = os.open(written.path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return None
    try:
        with _locked(file):
            head = os.read(file, HEAD)
            row = line.below(head, torn=False, quoted=False)
            os.lseek(file, written.offset, os.SEEK_SET)
            if row is None or os.read(file, len(written.data)) != written.data:
                return None
            before = written.data[: -len(row)]
            if len(row) > len(written.data) or not (before == b"" or before.endswith(b"\n")):
                return None
            os.lseek(file, written.offset, os.SEEK_SET)
            os.write(file, before + row)
    finally:
        os.close(file)
    return Written(written.path, written.offset, before + row)


def holds(written: Written, key: bytes) -> bool:
    """Return whether a file still has a line, as it was written or with the same key.

    Args:
        written: What was written.
        key: What only this line has.

    Raises:
        OSError: The file cannot be read.
    """
    try:
        found = written.path.read_bytes()
    except FileNotFoundError:
        return False
    return written.data in found or key in found


def _created(path: Path, line: Line) -> Written | None:
    """Append a line to a file, which is created where it is missing; ``None`` where it is of another kind."""
    if not path.exists():
        _create(path, line.first)
    return _append(path, line)


def _create(path: Path, first: bytes) -> None:
    """Create the file with its first line in one step, or leave it to :func:`_append` where links are not supported."""
    whole = path.with_name(f".eco2ai-{os.urandom(8).hex()}")
    # A file that another writer has created in the meantime stays.
    with contextlib.suppress(OSError, NotImplementedError):
        try:
            whole.write_bytes(first)
            path.hardlink_to(whole)
        finally:
            whole.unlink(missing_ok=True)


def _append(path: Path, line: Line) -> Written | None:
    """Append a line in one write; ``None`` where the file is of another kind, which is left as it is.

    Raises:
        OSError: The file cannot be written, or not the whole line.
    """
    file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with _locked(file):
            data = _continuation(file, line)
            if data is None:
                return None
            written = os.write(file, data)
            end = os.lseek(file, 0, os.SEEK_CUR)
    finally:
        os.close(file)
    # A row that lacks only its newline is in the file: the next row puts that first.
    if written < len(data) - 1:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    return Written(path, end - written, data)


def _continuation(file: int, line: Line) -> bytes | None:
    """Return what is appended for a line; ``None`` where the file is of another kind.

    In an empty file the first line comes first, or what is missing of it.
    """
    torn = _is_torn(file)
    os.lseek(file, 0, os.SEEK_SET)
    # No more than the file has: a device such as /dev/full gives bytes without end.
    size = os.fstat(file).st_size
    head = os.read(file, min(HEAD, size))
    if line.first.startswith(head):
        return line.first[len(head) :] + line.alone()
    return line.below(head, torn=torn, quoted=torn and _is_quoted(file, size))


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
    while size and size != before:
        os.lseek(file, max(0, size - 1), os.SEEK_SET)
        if os.read(file, 1) in (b"", b"\n"):
            return False
        time.sleep(_GROWS_S)
        before, size = size, os.fstat(file).st_size
    return size > 0


def _is_quoted(file: int, size: int) -> bool:
    """Return whether so many bytes of a file end inside quotation marks, which would take in all that follows."""
    os.lseek(file, 0, os.SEEK_SET)
    marks = 0
    while size > 0 and (block := os.read(file, min(HEAD, size))):
        marks += block.count(b'"')
        size -= len(block)
    return marks % 2 == 1


def _names(path: Path) -> Iterator[Path]:
    """Return the file, and the names beside it for where it is none of eco2AI's."""
    yield path
    yield path.with_name(f"{path.stem}.eco2ai{path.suffix}")
    for number in itertools.count(2):
        yield path.with_name(f"{path.stem}.eco2ai-{number}{path.suffix}")
