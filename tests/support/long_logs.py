"""Long logs, and what is read of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sessions import Written


def fill(log: Path, size: int) -> None:
    """Append lines of another run, of another project."""
    other = Written(log, run="filler", project="other")
    end = log.stat().st_size + size
    while log.stat().st_size < end:
        other.mark(metrics={"text": "x" * 50_000})
    other.stop()


def count_blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the size of each read from a file that is open in binary."""
    sizes: list[int] = []
    plain = Path.open

    class Counted:
        def __init__(self, raw: Any) -> None:
            self._raw = raw

        def __enter__(self) -> Counted:
            return self

        def __exit__(self, *_: object) -> None:
            self._raw.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._raw, name)

        def read(self, size: int = -1) -> bytes:
            data: bytes = self._raw.read(size)
            sizes.append(len(data))
            return data

    monkeypatch.setattr(Path, "open", lambda path, mode="r", **rest: Counted(plain(path, mode, **rest)))
    return sizes
