"""The writer of the run log: appends records in one write, and keeps those that could not be written."""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from pathlib import Path

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.hashing import canonical, line_hash, line_hmac
from eco2ai_callbacks.runlog.validate import is_record

# How long another writer's append may pause in the middle before its line is taken to be torn, in seconds.
_GROWS_S = 0.002
# Records that are kept in memory while the log cannot be written; the oldest are dropped first.
MAX_PENDING = 10_000


class Writer:
    """A writer of one session's records to the run log.

    Args:
        path: The file.
        key: Key of the lines' HMAC, or ``None`` for none.
        after: Hash of the session's line before the first; ``None`` where the session begins.
    """

    def __init__(self, path: Path, key: str | None = None, after: str | None = None) -> None:
        self.path = path
        self._key = key
        self._prev = after
        self._pending: deque[bytes] = deque(maxlen=MAX_PENDING)

    @property
    def waits(self) -> int:
        """Number of records that are kept and not written."""
        return len(self._pending)

    @property
    def hash(self) -> str | None:
        """The hash of the last line, which the next one holds as ``prev``."""
        return self._prev

    def append(self, record: Record) -> None:
        """Append a record, after those that could not be written before.

        Raises:
            OSError: The file cannot be written; the record is kept for the next time.
            ValueError: The record holds NaN, infinity or a field that readers would refuse; it is dropped.
        """
        self.keep(record)
        self.flush()

    def keep(self, record: Record) -> None:
        """Add a record to the chain; the next :meth:`flush` writes it.

        Raises:
            ValueError: The record holds NaN, infinity or a field that readers would refuse; it is dropped.
        """
        values = record.to_dict() | {"prev": self._prev}
        if self._key:
            values["hmac"] = line_hmac(values, self._key)
        line = canonical(values)
        if not is_record(values):
            raise ValueError("no reader would take the record back")
        self._prev = line_hash(line)
        self._pending.append(line.encode())

    def flush(self) -> None:
        """Write the kept records. Another thread may keep further ones meanwhile.

        Raises:
            OSError: The file cannot be written, or only in part; records that are not in it stay kept.
        """
        lines = list(self._pending)
        if not lines:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_APPEND | os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        file = os.open(self.path, flags, 0o644)
        try:
            lead = b"\n" if _is_torn(file) else b""
            data = lead + b"".join(line + b"\n" for line in lines)
            written = os.write(file, data)
        finally:
            os.close(file)
        # A line that lacks only its newline is in the file: the next write begins with the newline.
        end = len(lead)
        for line in lines:
            if (end := end + len(line)) > written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            # The oldest of more than MAX_PENDING may have been dropped meanwhile.
            if self._pending and self._pending[0] is line:
                self._pending.popleft()
            end += 1


def _is_torn(file: int) -> bool:
    """Return whether the file ends inside a line; a line that still grows is another writer's unfinished append."""
    size = os.fstat(file).st_size
    while size > 0 and _last_byte(file, size) != b"\n":
        time.sleep(_GROWS_S)
        before, size = size, os.fstat(file).st_size
        if size == before:
            return True
    return False


def _last_byte(file: int, size: int) -> bytes:
    os.lseek(file, size - 1, os.SEEK_SET)
    return os.read(file, 1)
