from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from eco2ai_callbacks.host import package


@pytest.fixture(autouse=True)
def _asked_anew() -> object:
    package.package_version.cache_clear()
    yield
    package.package_version.cache_clear()


def test_the_version_is_the_installed_one() -> None:
    assert package.package_version() == version("eco2ai-callbacks")


def test_the_first_folder_of_the_path_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, number in (("a", "7.1"), ("b", "7.2")):
        (tmp_path / folder / f"eco2ai_callbacks-{number}.dist-info").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), str(tmp_path / "a"), str(tmp_path / "b")])
    assert package.package_version() == "7.1"


def test_without_such_a_folder_the_metadata_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "eco2ai_callbacks.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: eco2ai-callbacks\nVersion: 7.3\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert package.package_version() == "7.3"


def test_what_was_never_installed_has_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert package.package_version() == "unknown"
