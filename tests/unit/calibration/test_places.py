"""Where calibrations are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from eco2ai_callbacks.calibration import store
from eco2ai_callbacks.calibration.places import SITE_FILE, default_files, user_file


def test_the_user_s_file_comes_before_the_site_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_files() == (user_file(tmp_path), SITE_FILE)
    assert user_file(tmp_path) == tmp_path / ".config/eco2ai/calibration.jsonl"
    assert store.default_files is default_files
