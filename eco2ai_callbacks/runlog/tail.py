"""The lines of a file from its end, in blocks, so that what is near the end costs little in a file of any length."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from eco2ai_callbacks.runlog.parse import LONGEST, parsed
from eco2ai_callbacks.runlog.validate import is_record, unknown_schema

# Bytes of the first block; each one is twice the one before, up to the largest.
_FIRST, _LARGEST = 2**16, 2**20

# What stands before the writer's id in a line.
WRITER = b'"writer":"'


def lines_from_end(file: Path, needle: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Return the lines that hold some bytes, the last one first, each with the bytes from the file's end to its block.

    After each block there is a ``None``, so that a caller can stop where no line fits. A line of more than 16 MiB is
    left out.

    Args:
        file: The file.
        needle: The bytes; not empty.

    Raises:
        OSError: The file cannot be read.
    """
    with file.open("rb") as raw:
        size = raw.seek(0, os.SEEK_END)
        distance = min(size, _FIRST)
        step = _FIRST
        for begin, line in lines_back(reader_of(raw), size, needle):
            yield distance, line
            if line is None:
                step = min(2 * step, _LARGEST)
                distance = min(size, size - begin + step)


def reader_of(raw: BinaryIO) -> Callable[[int, int], bytes]:
    """Return what reads bytes of an open file by offset and number."""

    def read(offset: int, size: int) -> bytes:
        raw.seek(offset)
        return raw.read(size)

    return read


def lines_back(read: Callable[[int, int], bytes], size: int, needle: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Return the lines that hold some bytes, the last one first, each with its offset.

    After each block there is the block's offset and ``None``.

    Args:
        read: Returns bytes by offset and number.
        size: Where the last line ends.
        needle: The bytes; not empty.
    """
    end, step, rest = size, _FIRST, b""
    while end > 0:
        begin = max(0, end - step)
        block = read(begin, end - begin) + rest
        # The first line of a block may begin in the one before it.
        cut = block.find(b"\n") + 1 if begin else 0
        rest = block[:cut] if begin and cut else block if begin else b""
        if begin and not cut:
            rest = rest if len(rest) <= LONGEST else b""
        else:
            for place, line in _with(block, cut, needle):
                yield begin + place, line
        yield begin, None
        end, step = begin, min(2 * step, _LARGEST)


def record_in(line: bytes) -> dict[str, Any] | None:
    """Return the fields of the record in a line; ``None`` where it holds none."""
    values = parsed(line.decode("utf-8", "replace"))
    return values if is_record(values) else None


def later_line(read: Callable[[int, int], bytes], size: int, needle: bytes) -> int | None:
    """Return the schema of the last line that holds some bytes, where a later version has written it; else ``None``.

    Args:
        read: Returns bytes by offset and number.
        size: Where the last line ends.
        needle: The bytes; not empty. A line is looked for in the last 64 KiB.
    """
    _, line = next(lines_back(read, size, needle), (0, None))
    return None if line is None else unknown_schema(parsed(line.decode("utf-8", "replace")))


def _with(block: bytes, begin: int, needle: bytes) -> Iterator[tuple[int, bytes]]:
    end = len(block)
    while (hit := block.rfind(needle, begin, end)) >= 0:
        end = max(block.rfind(b"\n", begin, hit) + 1, begin)
        stop = block.find(b"\n", hit)
        yield end, block[end:] if stop < 0 else block[end:stop]


def writer_of(line: bytes) -> str:
    """Return the writer that a line names, without parsing it."""
    begin = line.find(WRITER) + len(WRITER)
    return line[begin : line.find(b'"', begin)].decode("utf-8", "replace")
