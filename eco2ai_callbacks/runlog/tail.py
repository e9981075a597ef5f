"""The lines of a file from its end, in blocks, so that what is near the end costs little in a file of any length."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eco2ai_callbacks.runlog.read import LONGEST, parsed
from eco2ai_callbacks.runlog.validate import is_record

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
        size = end = raw.seek(0, os.SEEK_END)
        step, rest = _FIRST, b""
        while end > 0:
            begin = max(0, end - step)
            raw.seek(begin)
            block = raw.read(end - begin) + rest
            # The first line of a block may begin in the one before it.
            cut = block.find(b"\n") + 1 if begin else 0
            rest = block[:cut] if begin and cut else block if begin else b""
            if begin and not cut:
                rest = rest if len(rest) <= LONGEST else b""
            else:
                for line in _with(block, cut, needle):
                    yield size - begin, line
            yield size - begin, None
            end, step = begin, min(2 * step, _LARGEST)


def record_in(line: bytes) -> dict[str, Any] | None:
    """Return the fields of the record in a line; ``None`` where it holds none."""
    values = parsed(line.decode("utf-8", "replace"))
    return values if is_record(values) else None


def _with(block: bytes, begin: int, needle: bytes) -> Iterator[bytes]:
    end = len(block)
    while (hit := block.rfind(needle, begin, end)) >= 0:
        end = max(block.rfind(b"\n", begin, hit) + 1, begin)
        stop = block.find(b"\n", hit)
        yield block[end:] if stop < 0 else block[end:stop]


def writer_of(line: bytes) -> str:
    """Return the writer that a line names, without parsing it."""
    begin = line.find(WRITER) + len(WRITER)
    return line[begin : line.find(b'"', begin)].decode("utf-8", "replace")
