"""Read files of procfs at the cost of the system calls alone: some are read at every mark."""

from __future__ import annotations

import os

_CHUNK, _HALF_PAGE = 1 << 14, 1 << 11
# More than the first line of any file of procfs that is read for that line alone.
_LINE = 1 << 9


def content_of(path: str, *, whole: bool = True) -> bytes:
    """Return the content of a file of procfs.

    Args:
        path: The file.
        whole: Whether all of it is read, however long it is; else at least its first line.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        content = chunk = os.read(descriptor, _CHUNK if whole else _LINE)
        # The kernel may give a list in parts of a page; what is shorter than half of one is whole.
        while whole and len(chunk) >= _HALF_PAGE:
            chunk = os.read(descriptor, _CHUNK)
            content += chunk
        return content
    finally:
        os.close(descriptor)
