"""The files that settings may come from: where they are looked for, and how they are read."""

from __future__ import annotations

import doctest
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.settings import Settings, files, resolve, trust

OTHER = 65534
TABLE = '[tool.eco2ai]\nproject = "planted"\n'

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")


def settings(folder: Path | None = None, **sources: Any) -> Settings:
    return resolve(folder=folder, **{"environ": {}, "site_files": ()} | sources)


def pyproject(folder: Path, text: str = TABLE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pyproject.toml"
    path.write_text(text)
    path.chmod(0o644)
    return path


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(files).failed == 0


class TestSearch:
    @pytest.fixture
    def outside(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A folder outside of the home folder, which all others may write, as ``/tmp`` is."""
        home = tmp_path / "home"
        home.mkdir()
        monkeypatch.setenv("HOME", str(home))
        folder = tmp_path / "scratch"
        folder.mkdir()
        folder.chmod(0o1777)
        return folder

    @pytest.mark.parametrize("mark", ["folder", "file"])
    def test_it_ends_at_the_root_of_the_repository(self, tmp_path: Path, mark: str):
        root, inner = tmp_path / "repository", tmp_path / "repository/a/b"
        inner.mkdir(parents=True)
        (root / ".git").mkdir() if mark == "folder" else (root / ".git").touch()  # the latter in a worktree
        assert files.search_folders(inner) == [inner, inner.parent, root]
        pyproject(tmp_path)
        assert settings(inner) == Settings()
        pyproject(root)
        assert settings(inner).project == "planted"

    def test_it_ends_at_the_home_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        home = tmp_path / "home"
        (home / "a").mkdir(parents=True)
        (tmp_path / "link").symlink_to(home)
        monkeypatch.setenv("HOME", str(tmp_path / "link"))
        assert files.search_folders(home / "a") == [home / "a", home]

    def test_in_a_repository_it_passes_a_folder_that_all_may_write(self, outside: Path):
        root, inner = outside / "repository", outside / "repository/tmp"
        (root / ".git").mkdir(parents=True)
        inner.mkdir()
        inner.chmod(0o777)
        pyproject(root)
        assert files.search_folders(inner) == [inner, root]
        assert settings(inner).project == "planted"

    def test_outside_of_both_it_ends_at_a_folder_that_others_may_write(self, outside: Path, tmp_path: Path):
        inner = outside / "me/a"
        inner.mkdir(parents=True)
        pyproject(tmp_path)
        assert files.search_folders(inner) == [inner, inner.parent, outside]
        assert settings(inner) == Settings()
        pyproject(outside)
        assert settings(inner) == Settings()
        pyproject(outside / "me")
        assert settings(inner).project == "planted"

    @as_root
    def test_outside_of_both_it_ends_at_a_folder_of_another_user(self, outside: Path):
        inner = outside / "other/me"
        inner.mkdir(parents=True)
        os.chown(inner.parent, OTHER, OTHER)
        assert files.search_folders(inner) == [inner, inner.parent]

    def test_where_all_folders_are_private_it_ends_at_the_top(self, outside: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(trust, "is_private", lambda folder: True)
        assert files.search_folders(outside)[-1] == Path(outside.anchor)

    def test_without_a_home_folder_it_ends_all_the_same(self, outside: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(files, "home_folder", lambda: None)
        assert files.search_folders(outside / "missing") == [outside / "missing"]


class TestPassedOver:
    def test_it_is_named_once_in_one_sentence(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        path = pyproject(tmp_path)
        path.chmod(0o666)
        assert settings(tmp_path) == settings(tmp_path) == Settings()
        assert caplog.record_tuples == [
            (
                "eco2ai_callbacks",
                logging.WARNING,
                f"no settings are read from {path}, for others than its owner may write it; run 'chmod go-w {path}'",
            )
        ]

    @as_root
    def test_that_of_another_user_is(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        os.chown(pyproject(tmp_path), OTHER, OTHER)
        assert settings(tmp_path) == Settings()
        (message,) = caplog.messages
        assert f"it belongs to another user (uid {OTHER}); put its settings into" in message

    def test_the_search_goes_on_above_it(self, tmp_path: Path):
        pyproject(tmp_path)
        pyproject(tmp_path / "a", '[tool.eco2ai]\nproject = "others"\n').chmod(0o666)
        assert settings(tmp_path / "a").project == "planted"

    @pytest.mark.parametrize("text", ["tool.eco2ai = 3", "[tool.eco2ai", "[tool.eco2ai]\nregoin = 1", TABLE * 2])
    def test_what_it_holds_is_never_an_error(self, tmp_path: Path, text: str):
        pyproject(tmp_path, text).chmod(0o666)
        assert settings(tmp_path) == Settings()

    @pytest.mark.parametrize("text", ["[project]\nname = 'x'\n", "[tool.eco2ai-other]\n", "", "[broken"])
    def test_one_without_settings_is_not_named(self, tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture):
        pyproject(tmp_path, text).chmod(0o666)
        assert settings(tmp_path) == Settings()
        assert caplog.messages == []

    def test_a_site_file_is_and_the_next_is_read(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        first, second = tmp_path / "first.toml", tmp_path / "second.toml"
        first.write_text('project = "first"\n')
        first.chmod(0o666)
        second.write_text('project = "second"\n')
        second.chmod(0o644)
        assert settings(site_files=[first, second]).project == "second"
        assert len(caplog.messages) == 1
        assert str(first) in caplog.messages[0]

    def test_an_empty_site_file_is_not_named(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        site = tmp_path / "site.toml"
        site.write_text("\n")
        site.chmod(0o666)
        assert settings(site_files=[site]) == Settings()
        assert caplog.messages == []

    def test_a_log_handler_that_fails_is_no_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def fail(*_: object) -> None:
            raise RuntimeError

        monkeypatch.setattr(files.logger, "warning", fail)
        pyproject(tmp_path).chmod(0o666)
        assert settings(tmp_path) == Settings()

    @pytest.mark.parametrize(
        ("text", "held"),
        [
            ("[tool.eco2ai]", True),
            (' [ "tool" . eco2ai ] # ours', True),
            ("[tool.eco2ai.price]", True),
            ("tool.eco2ai.pue = 2", True),
            ("[tool]\neco2ai = {}", True),
            ("[tool]\neco2ai.pue = 2", True),
            ("[project.optional-dependencies]\neco2ai = ['eco2ai-callbacks']", False),
            ("# [tool.eco2ai]", False),
            ("[tool.eco2ai2]\n[project]\ndescription = '[tool.eco2ai]'", False),
        ],
    )
    def test_settings_are_found_without_a_parser(self, text: str, held: bool):
        assert files.pyproject_holds_settings(text) is held


class TestUnreadable:
    """What cannot be read is named, whatever it holds."""

    @pytest.fixture
    def named(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
        found: list[str] = []
        yield found
        assert settings(tmp_path) == settings(tmp_path) == Settings()
        assert caplog.messages == [f"no settings are read from {tmp_path / 'pyproject.toml'}, for {found[0]}"]

    def test_a_fifo(self, tmp_path: Path, named: list[str]):
        os.mkfifo(tmp_path / "pyproject.toml")
        named.append("it is not a regular file; remove it or put a regular file in its place")

    def test_a_fifo_that_takes_a_files_place(self, tmp_path: Path, named: list[str], monkeypatch: pytest.MonkeyPatch):
        """Between the first look and the opening."""
        path, file = tmp_path / "pyproject.toml", pyproject(tmp_path / "other")
        os.mkfifo(path)
        real, looked = Path.stat, file.stat()
        monkeypatch.setattr(Path, "stat", lambda self, **how: looked if self == path else real(self, **how))
        named.append("it is not a regular file; remove it or put a regular file in its place")

    def test_a_socket(self, tmp_path: Path, named: list[str]):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind("pyproject.toml")
        named.append("it is not a regular file; remove it or put a regular file in its place")

    def test_a_device(self, tmp_path: Path, named: list[str]):
        (tmp_path / "pyproject.toml").symlink_to("/dev/zero")
        named.append("it is not a regular file; remove it or put a regular file in its place")

    def test_a_large_one(self, tmp_path: Path, named: list[str]):
        os.truncate(pyproject(tmp_path), 2**40)
        named.append("it is larger than 1 MiB; make it smaller")

    def test_one_that_grows(self, tmp_path: Path, named: list[str], monkeypatch: pytest.MonkeyPatch):
        """After its size was looked at."""
        pyproject(tmp_path, "#" * (files.MAX_BYTES + 1))
        monkeypatch.setattr(files, "_fault_of_kind", lambda found: None)
        named.append("it is larger than 1 MiB; make it smaller")

    def test_one_that_may_not_be_read(self, tmp_path: Path, named: list[str], monkeypatch: pytest.MonkeyPatch):
        def refuse(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        pyproject(tmp_path)
        monkeypatch.setattr(os, "open", refuse)
        named.append("it cannot be read (Permission denied); give yourself the right to read it")

    def test_a_circle_of_links(self, tmp_path: Path, named: list[str]):
        (tmp_path / "pyproject.toml").symlink_to("pyproject.toml")
        named.append("it cannot be read (Too many levels of symbolic links); give yourself the right to read it")

    def test_one_that_is_as_large_as_may_be_is_read(self, tmp_path: Path):
        pyproject(tmp_path, TABLE + "#" * (files.MAX_BYTES - len(TABLE)))
        assert settings(tmp_path).project == "planted"

    @pytest.mark.parametrize("target", ["missing", "file/missing"])
    def test_a_link_to_nothing_is_no_file(self, tmp_path: Path, target: str, caplog: pytest.LogCaptureFixture):
        (tmp_path / "file").touch()
        (tmp_path / "pyproject.toml").symlink_to(target)
        assert settings(tmp_path) == Settings()
        assert caplog.messages == []

    def test_what_lies_behind_a_closed_folder_is_not_named(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        """Nobody can say whether it is there."""
        long = tmp_path / ("x" * 300)  # looking there fails, and not because it is missing
        assert files.trusted_text(long / "pyproject.toml", lambda text: True) is None
        assert caplog.messages == []


def test_the_text_is_that_of_the_file_that_was_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file that takes its place after the opening is neither read nor trusted."""
    path = pyproject(tmp_path)
    planted = pyproject(tmp_path / "other", '[tool.eco2ai]\nproject = "other"\n')
    real = os.open

    def swapped(name: Any, flags: int) -> int:
        descriptor = real(name, flags)
        if name == path and planted.exists():
            planted.rename(path)
        return descriptor

    monkeypatch.setattr(os, "open", swapped)
    assert settings(tmp_path) == Settings()
