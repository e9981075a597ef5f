"""Anchors: lines by which the end of any run is found in a log of any length, in a number of steps that hardly grows.

An anchor is a line of a session that states all that holds for it and where earlier anchors are: the first line of each
session, and a further one after each ``SPACING`` bytes of the file. Its member ``anchor`` holds

* ``to``: the size of the file when the anchor was written. What others wrote between there and the anchor is not known
  to it, and is read line by line. ``since``: what stands before this byte has no anchors, or none that could be
  followed;
* ``by``: offsets of earlier anchors, by how many leading bits their key has in common with its own. The key is a hash
  of the run, and the rank. Entry ``i`` is the latest anchor with the same first ``i`` bits and another bit ``i``; -1
  is none;
* ``other``: offset of the latest anchor of the same run and rank by another session; ``start``: offset of the session's
  first line in this file.

So anchors are a binary search tree that is never rewritten: from any anchor each step leads to one whose key has more
bits in common with the key that is looked for. Offsets are hints: the line there must be an anchor that fits, else
:class:`NotFollowed` is raised. A log that was renamed or cut off while it was written has such offsets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eco2ai_callbacks.runlog.tail import lines_back, record_in

# Bytes by which a log grows between two anchors of a session.
SPACING = 2**19
# Bytes at the end of a log in which an anchor, or a run without anchors, is looked for.
MOST_BYTES = 16 * 2**20
# Bytes of a line that are read at first.
_LINE = 2**13
_LONGEST = 2**20
# Bits of a key, and those of them that are a hash of the run.
BITS, RUN_BITS = 64, 48
# Records of these events do not hold all that a session has used: a heartbeat before them holds more.
NOTES = frozenset({"metrics", "forecast"})
NEEDLE = b'"anchor":{'

Read = Callable[[int, int], bytes]


class NotFollowed(Exception):
    """An offset does not lead to the anchor that it was written for."""


def key_of(run: str, rank: int) -> int:
    """Return the key of a rank's part in a run: a hash of the run, then the rank, so that its ranks are neighbours."""
    digest = hashlib.sha256(run.encode("utf-8", "surrogatepass")).digest()
    bits = BITS - RUN_BITS
    return (int.from_bytes(digest[: RUN_BITS // 8], "big") << bits) | (rank & ((1 << bits) - 1))


def common_bits(one: int, other: int) -> int:
    """Return how many leading bits two keys have in common."""
    return BITS - (one ^ other).bit_length()


@dataclass(frozen=True, slots=True)
class Anchor:
    """An anchor as it was read.

    Args:
        offset: Where its line begins.
        values: Its line's fields.
        line: Its line.
        key: Key of its run and rank.
        to: Member of the same name; so are the following.
    """

    offset: int
    values: Mapping[str, Any]
    line: bytes
    key: int
    to: int
    since: int
    by: tuple[int, ...]
    other: int
    start: int

    @property
    def writer(self) -> str:
        """The session that wrote it."""
        return self.values["writer"]  # type: ignore[no-any-return]


def anchor_in(offset: int, line: bytes) -> Anchor | None:
    """Return the anchor in a line; ``None`` where it is none."""
    values = record_in(line)
    held = None if values is None else values.get("anchor")
    if values is None or not isinstance(held, Mapping):
        return None
    to, since, by = held.get("to"), held.get("since", 0), held.get("by", [])
    other, start = held.get("other", -1), held.get("start", -1)
    if not isinstance(to, int) or not isinstance(by, list) or len(by) > BITS:
        return None
    if not all(type(number) is int and number >= -1 for number in (to, since, other, start, *by)):
        return None
    # The file may have been cut off since: then its anchors begin here.
    if to > offset or max((since, other, *by)) > to:
        to, since, by, other = offset, offset, [], -1
    return Anchor(
        offset, values, line, key_of(values["run"], values.get("rank", 0)), to, since, tuple(by), other, start
    )


class Anchors:
    """The anchors of a file.

    Args:
        read: Returns bytes of the file by offset and number.
        size: The file's size.
    """

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        self._known: dict[int, Anchor] = {}
        self.size = size
        # The anchors at the file's end, the last one first; what stands before the floor is reached from the root.
        self.recent: list[Anchor] = []
        self._root: Anchor | None = None
        self._floor = 0
        self._look_back()
        # What stands before this byte cannot be found by anchors: it is older than they are, or was not looked at.
        begin = self.recent[-1].offset if self.recent else size
        self.since: int = max(begin, self._floor) if self._root is None else self._root.since

    def trace(self, key: int) -> tuple[list[int], list[Anchor]]:
        """Return the entries of a new anchor's ``by``, and the latest anchors with its own key, the last one first.

        Raises:
            NotFollowed: An offset leads nowhere.
        """
        by: dict[int, int] = {}
        same: list[Anchor] = []

        def take(anchor: Anchor) -> None:
            bits = common_bits(key, anchor.key)
            if bits == BITS:
                same.append(anchor)
            else:
                by.setdefault(bits, anchor.offset)

        for anchor in self.recent:
            take(anchor)
        node = self._root
        while node is not None:
            bits = common_bits(key, node.key)
            for bit, offset in enumerate(node.by[:bits]):
                if offset >= 0:
                    by.setdefault(bit, offset)
            offset = node.by[bits] if bits < len(node.by) else -1
            if offset < 0:
                break
            node = self.at(offset, node.to)
            if common_bits(key, node.key) <= bits:
                raise NotFollowed(f"byte {offset} holds another anchor")
            take(node)
            for anchor in self._between(node.to, node.offset):
                take(anchor)
        return [by.get(bit, -1) for bit in range(max(by, default=-1) + 1)], same

    def of_run(self, run: str) -> list[Anchor]:
        """Return the last anchor of each rank's part in a run.

        Raises:
            NotFollowed: An offset leads nowhere.
        """
        found: list[Anchor] = []
        waiting, seen = [0], {0}
        while waiting:
            rank = waiting.pop()
            by, same = self.trace(key_of(run, rank))
            found += [anchor for anchor in same[:1] if anchor.values["run"] == run]
            for offset in by[RUN_BITS:]:
                if offset >= 0 and (other := self.at(offset, self.size + 1).values.get("rank", 0)) not in seen:
                    seen.add(other)
                    waiting.append(other)
        return found

    def other(self, anchor: Anchor) -> Anchor | None:
        """Return the latest anchor of the same run and rank before one, by another session."""
        for earlier in self.recent:
            if earlier.offset < anchor.offset and earlier.key == anchor.key and earlier.writer != anchor.writer:
                return earlier
        for earlier in self._between(anchor.to, anchor.offset):
            if earlier.key == anchor.key and earlier.writer != anchor.writer:
                return earlier
        return None if anchor.other < 0 else self.at(anchor.other, anchor.to, anchor.key)

    def at(self, offset: int, end: int, key: int | None = None) -> Anchor:
        """Return the anchor at an offset.

        Args:
            offset: Where its line begins.
            end: Where it must have ended.
            key: Its key, where that is known.

        Raises:
            NotFollowed: There is none.
        """
        found = self._known.get(offset) or anchor_in(offset, self.line_at(offset))
        if found is None or offset + len(found.line) >= end or (key is not None and found.key != key):
            raise NotFollowed(f"byte {offset} holds no such anchor")
        self._known[offset] = found
        return found

    def line_at(self, offset: int) -> bytes:
        """Return the line that begins at an offset."""
        length = _LINE
        while True:
            data = self._read(offset, length)
            end = data.find(b"\n")
            if end >= 0 or len(data) < length or length >= _LONGEST:
                return data if end < 0 else data[:end]
            length *= 8

    def last_lines(self, anchor: Anchor) -> Iterator[tuple[int, bytes, Mapping[str, Any]]]:
        """Return offset, text and fields of the lines of an anchor's session from it to the end, the last one first.

        They are near it where it is the session's last anchor.
        """
        begin = anchor.offset + len(anchor.line) + 1
        needle = b'"writer":"%s"' % anchor.writer.encode("utf-8", "backslashreplace")
        for offset, line in self._lines(begin, min(self.size, begin + 2 * SPACING), needle):
            values = record_in(line)
            if values is not None and values["writer"] == anchor.writer and values["run"] == anchor.values["run"]:
                yield offset, line, values
        yield anchor.offset, anchor.line, anchor.values

    # --- inside ----------------------------------------------------------------------------------------------------

    def _look_back(self) -> None:
        floor = 0
        for offset, line in lines_back(self._read, self.size, NEEDLE):
            if line is not None:
                if offset >= floor and (found := anchor_in(offset, line)) is not None:
                    self.recent.append(found)
                    self._known[offset] = found
                    if self._root is None or found.to > floor:
                        floor, self._root = found.to, found
            elif self._root is not None and offset <= floor:
                self._floor = floor
                # The whole file was read.
                self._root = self._root if floor else None
                return
            elif offset and self.size - offset >= MOST_BYTES:
                self._floor, self._root = offset, None
                return

    def _between(self, begin: int, end: int) -> Iterator[Anchor]:
        """Return the anchors in a part of the file, the last one first."""
        if end - begin > MOST_BYTES:
            raise NotFollowed(f"{end - begin} bytes without an anchor")
        for offset, line in self._lines(begin, end, NEEDLE):
            if (found := anchor_in(offset, line)) is not None:
                yield found

    def _lines(self, begin: int, end: int, needle: bytes) -> Iterator[tuple[int, bytes]]:
        if begin < end:
            for offset, line in lines_back(lambda at, size: self._read(begin + at, size), end - begin, needle):
                if line is not None:
                    yield begin + offset, line
