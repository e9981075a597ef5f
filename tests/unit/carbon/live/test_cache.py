"""Figures of live sources on the disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eco2ai_callbacks.carbon.live import cache
from eco2ai_callbacks.carbon.series import Span

SPANS = (Span(0.0, 3600.0, 50.0), Span(3600.0, 7200.0, 60.5))


def test_what_is_stored_is_loaded(tmp_path: Path) -> None:
    where = tmp_path / "new" / "folder"
    cache.store(where, "source-FR", 123.0, SPANS)
    assert cache.load(where, "source-FR") == cache.Kept(123.0, SPANS)
    assert [path.name for path in where.iterdir()] == ["source-FR.json"]
    assert cache.load(where, "source-DE") is None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "{",
            "[]",
            "null",
            '{"asked_s": 1}',
            '{"asked_s": "x", "spans": []}',
            '{"asked_s": 1, "spans": [[1, 2]]}',
        ),
        *('{"asked_s": 1, "spans": [[2, 1, 5]]}', '{"asked_s": 1, "spans": [[1, 2, -5]]}', "[" * 100_000),
    ],
    ids=lambda text: text[:40],
)
def test_what_is_damaged_is_not_there(text: str, tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text(text)
    assert cache.load(tmp_path, "key") is None


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store(tmp_path, "key", 1.0, SPANS)
    monkeypatch.setattr(cache, "_LARGEST", 10)
    assert cache.load(tmp_path, "key") is None


def test_a_disk_that_takes_nothing_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache.store(tmp_path / "file", "key", 1.0, SPANS)
    assert cache.load(tmp_path / "file", "key") is None


def test_the_content_is_figures_alone(tmp_path: Path) -> None:
    cache.store(tmp_path, "key", 1.0, SPANS)
    assert json.loads((tmp_path / "key.json").read_text()).keys() == {"asked_s", "spans"}


def test_the_folder_is_the_user_s_cache() -> None:
    pytest.importorskip("platformdirs")
    assert cache.folder().parts[-2:] == ("eco2ai_callbacks", "intensity")
