from __future__ import annotations

import os
from pathlib import Path

import pytest

from eco2ai_callbacks.host.procfs import content_of


@pytest.mark.parametrize("length", [0, 10, 2047, 2048, 16_384, 16_385, 100_000])
def test_a_file_is_read_whole_whatever_its_length(tmp_path: Path, length: int) -> None:
    content = bytes(range(256)) * (length // 256) + b"x" * (length % 256)
    (tmp_path / "file").write_bytes(content)
    assert content_of(str(tmp_path / "file")) == content


def test_a_list_that_the_kernel_gives_in_parts_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the children of a process with thousands of them: a page at a time."""
    (tmp_path / "file").write_bytes(b"7" * 10_000)
    read = os.read
    monkeypatch.setattr(os, "read", lambda file, most: read(file, min(most, 4096)))
    assert len(content_of(str(tmp_path / "file"))) == 10_000


def test_what_is_short_takes_three_system_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"cpu 1 2 3\n" + b"x" * 3000)
    done: list[str] = []
    for name in ("open", "read", "close"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, call=call, name=name: done.append(name) or call(*args))
    assert content_of(str(tmp_path / "file"), whole=False).startswith(b"cpu 1 2 3\n")
    assert done == ["open", "read", "close"]


def test_what_is_not_there_is_an_error_and_nothing_stays_open(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        content_of(str(tmp_path / "none"))
