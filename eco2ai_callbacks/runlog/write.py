"""The writer of the run log: appends records in one write, and keeps those that could not be written."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.anchors import NOTES, SPACING, Anchors, NotFollowed, key_of
from eco2ai_callbacks.runlog.draft import Draft
from eco2ai_callbacks.runlog.hashing import link_of, signed
from eco2ai_callbacks.runlog.short import NOTHING, Short, names_of

# How long another writer's append may pause in the middle before its line is taken to be torn, in seconds.
_GROWS_S = 0.002
# Records that are kept in memory while the log cannot be written; the oldest are dropped first.
MAX_PENDING = 10_000
_FLAGS = os.O_APPEND | os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Writer:
    """A writer of one session's records to the run log.

    Args:
        path: The file.
        key: Key of the lines' HMAC, or ``None`` for none.
        after: Link to the session's line before the first; ``None`` where the session begins.
    """

    def __init__(self, path: Path, key: str | None = None, after: str | None = None) -> None:
        self.path = path
        self._name = str(path)
        self._key = key
        self._standing = NOTHING
        self._names: bytes | None = None
        self._ids = "", ""
        self._rank = 0
        # The records that are kept and not written.
        self.waiting: deque[Short] = deque(maxlen=MAX_PENDING)
        # Of what was written: the last line's hash and number, the file and its size after it, the session's first line
        # and last anchor in it.
        self._prev = after
        self._seq = -1
        self._file: tuple[int, int] | None = None
        self._size = self._start = self._anchored = 0

    @property
    def link(self) -> str | None:
        """Link to the last line that was written."""
        return self._prev

    def append(self, record: Record | Draft) -> None:
        """Append a record, after those that could not be written before.

        Raises:
            OSError: The file cannot be written; the record is kept for the next time.
            ValueError: The record holds NaN, infinity or a field that readers would refuse; it is dropped.
        """
        self.keep(record)
        self.flush()

    def keep(self, record: Record | Draft) -> None:
        """Keep a record for the next :meth:`flush`; touches no file.

        Raises:
            ValueError: The record holds NaN, infinity or a field that readers would refuse; it is dropped.
        """
        common = record.template if isinstance(record, Draft) else record
        if self._names is None or common.run != self._ids[0] or common.writer != self._ids[1]:
            self._names = names_of(common.run, common.writer)
            self._ids = common.run, common.writer
        short = Short(record, self._names, self._standing)
        self._standing, self._rank = short.standing, common.rank
        self.waiting.append(short)

    def flush(self) -> None:
        """Write the kept records. Another thread may keep further ones meanwhile.

        Raises:
            OSError: The file cannot be written, or only in part; records that are not in it stay kept.
        """
        waiting = list(self.waiting)
        if len(waiting) == 1:
            self._write(waiting)
            return
        while waiting:
            length, count = 0, 0
            # A session's lines must not be far from its last anchor.
            while count < len(waiting) and (not count or length + len(waiting[count]) < SPACING):
                length += len(waiting[count])
                count += 1
            self._write(waiting[:count])
            del waiting[:count]

    # --- inside ----------------------------------------------------------------------------------------------------

    def _write(self, waiting: Sequence[Short]) -> None:
        file = self._open()
        try:
            state = os.fstat(file)
            size, where = state.st_size, (state.st_dev, state.st_ino)
            # A pipe has no size and no offsets.
            regular = stat.S_ISREG(state.st_mode)
            same = where == self._file and (size >= self._size or not regular)
            # What this writer has written ends in a newline.
            torn = not (same and size == self._size) and _is_torn(file)
            lines, anchored = self._lines(waiting, file, size, same)
            data = (b"\n%s\n" if torn else b"%s\n") % b"\n".join([line for line, _ in lines])
            written = os.write(file, data)
            # Where the lines stand: others may have written since the size was read.
            end = size + written if anchored is None or not regular else os.lseek(file, 0, os.SEEK_CUR)
        finally:
            os.close(file)
        if anchored is not None:
            self._anchored = end - len(data) + torn + sum(len(line) + 1 for line, _ in lines[:anchored])
            self._start = self._start if same and self._seq >= 0 else self._anchored
        # Where only a part was written, the next write states all anew.
        self._file, self._size = where if written == len(data) else None, end
        self._take_off(waiting, lines, written - torn)

    def _open(self) -> int:
        try:
            return os.open(self._name, _FLAGS, 0o644)
        except (FileNotFoundError, NotADirectoryError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._name, _FLAGS, 0o644)

    def _lines(
        self, waiting: Sequence[Short], file: int, size: int, same: bool
    ) -> tuple[list[tuple[bytes, str]], int | None]:
        """Return the lines of the waiting records with the links to them, and which one is an anchor.

        The first line in a file is one, and so is the first after records that were dropped.
        """
        anchored = None
        if not same or waiting[0].seq != self._seq + 1 or self._seq < 0:
            anchored = 0
        elif size - self._anchored >= SPACING and waiting[-1].event not in NOTES:
            anchored = len(waiting) - 1
        prev = self._prev
        lines: list[tuple[bytes, str]] = []
        for place, short in enumerate(waiting):
            line = short.line(prev, self._anchor(file, size, same) if place == anchored else None)
            if self._key:
                line = signed(line, self._key)
            prev = link_of(line)
            lines.append((line, prev))
        return lines, anchored

    def _anchor(self, file: int, size: int, same: bool) -> dict[str, object]:
        """Return the member ``anchor`` of a line that is written now."""
        anchors = Anchors(lambda offset, length: _read_at(file, offset, length), size)
        since = anchors.since
        try:
            by, own = anchors.trace(key_of(self._ids[0], self._rank))
        except NotFollowed:
            # The file was renamed or cut off while it was written: anchors begin anew.
            by, own, since = [], [], size
        found: dict[str, object] = {"to": size}
        if since:
            found["since"] = since
        if by:
            found["by"] = by
        other = next((anchor.offset for anchor in own if anchor.writer != self._ids[1]), own[0].other if own else -1)
        if other >= 0:
            found["other"] = other
        if same and self._seq >= 0:
            found["start"] = self._start
        return found

    def _take_off(self, waiting: Sequence[Short], lines: Sequence[tuple[bytes, str]], written: int) -> None:
        """Remove what is in the file. A line that lacks only its newline is: the next write begins with the newline."""
        end = 0
        for short, (line, link) in zip(waiting, lines, strict=True):
            if (end := end + len(line)) > written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            self._prev, self._seq = link, short.seq
            # The oldest of more than MAX_PENDING may have been dropped meanwhile.
            if self.waiting and self.waiting[0] is short:
                self.waiting.popleft()
            end += 1


def _is_torn(file: int) -> bool:
    """Return whether the file ends inside a line; a line that still grows is another writer's unfinished append."""
    size = os.fstat(file).st_size
    while size > 0 and _read_at(file, size - 1, 1) != b"\n":
        time.sleep(_GROWS_S)
        before, size = size, os.fstat(file).st_size
        if size == before:
            return True
    return False


def _read_at(file: int, offset: int, length: int) -> bytes:
    os.lseek(file, offset, os.SEEK_SET)
    return os.read(file, length)
