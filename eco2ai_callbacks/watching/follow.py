"""The new lines of a log: from where the last look ended, also when the file was renamed, replaced or cut off."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO

from eco2ai_callbacks.runlog.anchors import SPACING
from eco2ai_callbacks.runlog.parse import LONGEST
from eco2ai_callbacks.runlog.paths import files_of

# Bytes at the end of a log that are read at first. Each session that is running states all that holds for it once in
# ``SPACING`` bytes.
FIRST_BYTES = 4 * SPACING
_BLOCK = 2**20
# Bytes before the last position that are looked at again: they differ where the file was cut off and has grown since.
_MARK = 64


class Follower:
    """The new lines of a log and of the writers' own files beside it.

    Args:
        path: The log; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tails: dict[Path, Tail] = {}
        self._begun = False

    def read(self) -> list[bytes]:
        """Return the lines that were written since the last call, without their newlines.

        Raises:
            OSError: A file exists and cannot be read.
        """
        for file in (self._path, *files_of(self._path)):
            if file not in self._tails:
                # What comes later is read from its beginning.
                self._tails[file] = Tail(file, None if self._begun else FIRST_BYTES)
        lines = [line for tail in self._tails.values() for line in tail.read()]
        self._begun = self._begun or any(tail.is_open for tail in self._tails.values())
        return lines

    def close(self) -> None:
        """Close the files."""
        for tail in self._tails.values():
            tail.close()


class Tail:
    """The new lines of one file.

    Args:
        path: The file.
        last: Bytes at its end that are read at first; ``None`` for all.
    """

    def __init__(self, path: Path, last: int | None = None) -> None:
        self._path = path
        self._last = last
        self._raw: BinaryIO | None = None
        self._offset = 0
        # The bytes before the offset.
        self._mark = b""
        # The begin of a line whose end is not written yet.
        self._begin = b""
        # Whether the rest of a line is passed over: it is longer than any record, or its begin was not read.
        self._skips = False

    @property
    def is_open(self) -> bool:
        """Whether the file was there."""
        return self._raw is not None

    def read(self) -> list[bytes]:
        """Return the whole lines that were written since the last call.

        Raises:
            OSError: The file exists and cannot be read.
        """
        if self._raw is None and not self._open():
            return []
        lines = self._rest()
        if self._is_replaced():
            # Its writers may have written into it until they met the new one.
            lines += self._rest()
            self.close()
            self._last = None
            if self._open():
                lines += self._rest()
        return lines

    def close(self) -> None:
        """Close the file."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def _open(self) -> bool:
        try:
            self._raw = self._path.open("rb")
        except FileNotFoundError:
            return False
        self._restart()
        size = os.fstat(self._raw.fileno()).st_size
        if self._last is not None and size > self._last:
            self._offset, self._skips = size - self._last, True
        return True

    def _restart(self) -> None:
        self._offset, self._mark, self._begin, self._skips = 0, b"", b"", False

    def _is_replaced(self) -> bool:
        assert self._raw is not None
        with contextlib.suppress(FileNotFoundError):  # it was renamed, and the new one is not there yet
            there, mine = self._path.stat(), os.fstat(self._raw.fileno())
            return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)
        return False

    def _rest(self) -> list[bytes]:
        raw = self._raw
        assert raw is not None
        if self._is_cut(raw):
            self._restart()
        lines: list[bytes] = []
        raw.seek(self._offset)
        while block := raw.read(_BLOCK):
            self._offset += len(block)
            self._mark = (self._mark + block)[-_MARK:]
            *whole, rest = block.split(b"\n")
            for line in whole:
                if not self._skips:
                    lines.append(self._begin + line)
                self._begin, self._skips = b"", False
            if not self._skips:
                self._begin += rest
            if len(self._begin) > LONGEST:
                self._begin, self._skips = b"", True
        return lines

    def _is_cut(self, raw: BinaryIO) -> bool:
        if os.fstat(raw.fileno()).st_size < self._offset:
            return True
        raw.seek(self._offset - len(self._mark))
        return raw.read(len(self._mark)) != self._mark
