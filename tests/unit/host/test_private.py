"""A folder and files of the user's own, whatever others have put beside them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eco2ai_callbacks.host.private import own_folder, read_own

NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")


def test_the_folder_lies_below_that_for_temporary_files_and_is_closed_to_others(tmp_path: Path) -> None:
    folder = own_folder(create=True)
    assert folder == tmp_path / f"eco2ai-trackers-{os.getuid()}"
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert own_folder() == own_folder(create=True) == folder


def test_a_folder_that_was_left_open_is_closed(tmp_path: Path) -> None:
    open_to_all = tmp_path / f"eco2ai-trackers-{os.getuid()}"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    assert own_folder().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("taken", ["a file", "a link", pytest.param("another user's folder", marks=as_root)])
def test_where_somebody_else_has_taken_the_name_the_next_place_is_used(
    taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = tmp_path / f"eco2ai-trackers-{os.getuid()}"
    elsewhere = tmp_path / "theirs"
    elsewhere.mkdir()
    if taken == "a file":
        name.write_text("")
    elif taken == "a link":
        name.symlink_to(elsewhere)
    else:
        name.mkdir()
        os.chown(name, NOBODY, NOBODY)
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert own_folder(create=True) == runtime / "eco2ai-trackers"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert own_folder(create=True) == Path.home() / ".cache/eco2ai/trackers"


def test_where_there_is_no_place_at_all_that_is_an_error_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with pytest.raises(PermissionError, match="no folder of the user's own can be made"):
        own_folder(create=True)
    assert not own_folder().exists()


def test_small_regular_files_of_the_user_s_own_are_read_and_nothing_else_is(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"x" * 100)
    assert read_own(plain, 100) == b"x" * 100
    assert read_own(plain, 99) == b""
    (tmp_path / "link").symlink_to(plain)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "missing"):
        assert read_own(tmp_path / name, 100) == b"", name


@as_root
def test_another_user_s_file_is_not_read(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("{}")
    os.chown(theirs, NOBODY, NOBODY)
    assert read_own(theirs, 100) == b""


def test_a_machine_without_a_folder_for_temporary_files_has_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", none)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert own_folder(create=True) == Path.home() / ".cache/eco2ai/trackers"
    monkeypatch.setenv("HOME", os.devnull)
    with pytest.raises(PermissionError):
        own_folder(create=True)
    assert not own_folder().is_dir()
