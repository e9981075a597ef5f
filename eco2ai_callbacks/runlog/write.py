"""Appends records to the run log, one write each, and keeps what could not be written."""

from __future__ import annotations

import os
from pathlib import Path

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.chain import canonical, line_hash, line_hmac

# What is kept in memory while the log cannot be written; the oldest go first.
MAX_PENDING = 10_000


class Writer:
    """One session's door to the run log.

    Args:
        path: The file.
        key: Key of the lines' HMAC, or ``None`` for none.
    """

    def __init__(self, path: Path, key: str | None = None) -> None:
        self.path = path
        self._key = key
        self._prev: str | None = None
        self._pending: list[str] = []

    def append(self, record: Record) -> None:
        """Append a record, behind those that could not be written before.

        Raises:
            OSError: The file cannot be written; the record is kept for the next time.
            ValueError: The record holds a number that is none; it is dropped.
        """
        values = record.to_dict() | {"prev": self._prev}
        if self._key:
            values["hmac"] = line_hmac(values, self._key)
        line = canonical(values)
        self._prev = line_hash(line)
        self._pending = [*self._pending[-MAX_PENDING:], line]
        self._flush()

    def _flush(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_APPEND | os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        file = os.open(self.path, flags, 0o644)
        try:
            size = os.fstat(file).st_size
            torn = size > 0 and _last_byte(file, size) != b"\n"
            data = ("\n" * torn + "".join(f"{line}\n" for line in self._pending)).encode()
            if os.write(file, data) != len(data):
                raise OSError(28, os.strerror(28), str(self.path))  # ENOSPC: a part was written
        finally:
            os.close(file)
        self._pending = []


def _last_byte(file: int, size: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(file, 1, size - 1)
    os.lseek(file, size - 1, os.SEEK_SET)
    return os.read(file, 1)
