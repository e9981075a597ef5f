"""The cells of a CSV file, in any encoding that programs save one in."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path

from eco2ai_callbacks.sinks.csv_append import HEAD

# The marks that spreadsheets put first, and how such a file is decoded.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class NoCsv(ValueError):
    """A line that is none of a CSV.

    Args:
        line: Its number, from 1.
        reason: Why.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


def head_of(path: Path) -> bytes:
    """Return the beginning of a file in UTF-8, with the mark of that encoding where the file has a mark.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    encoding = _encoding(head)
    if encoding != "utf-16":
        return head
    return codecs.BOM_UTF8 + head.decode(encoding, "replace").encode()


def cells(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Return the cells of each line that is not blank, with its number from 1.

    Bytes that are no text become replacement characters, and zeros, which a loss of power leaves, are left out.

    Args:
        path: The file.
        delimiter: What separates cells.

    Raises:
        OSError: The file cannot be read.
        NoCsv: A cell is longer than the module ``csv`` accepts, 128 KiB: one without an end.
    """
    with path.open("rb") as raw:
        encoding = _encoding(raw.read(4))
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        reader = csv.reader((text.replace("\0", "") for text in file), delimiter=delimiter)
        before = 0
        try:
            for found in reader:
                if found:
                    yield before + 1, found
                before = reader.line_num
        except csv.Error as error:
            raise NoCsv(before + 1, str(error)) from None


def _encoding(head: bytes) -> str:
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "utf-8")
