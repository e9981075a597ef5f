from __future__ import annotations

import os
from pathlib import Path

import pytest

from eco2ai_callbacks.runlog.paths import file_for, file_system, files_of

WRITER = "0123456789abcdef"


def mount(point: str, kind: str, number: int = 22) -> str:
    return f"{number} 1 8:1 / {point} rw,relatime shared:1 - {kind} source rw\n"


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    return tmp_path / "mountinfo"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "lustre", "gpfs", "9p", "fuse.sshfs", "fuse.gcsfuse"])
def test_where_appending_is_not_atomic_each_writer_has_a_file_of_its_own(mounts: Path, kind: str):
    mounts.write_text(mount("/", "ext4") + mount("/data", kind))
    assert file_for(Path("/data/a/eco2ai.jsonl"), WRITER, mounts) == Path(f"/data/a/eco2ai.{WRITER}.jsonl")
    assert file_for(Path("/data/log"), WRITER, mounts) == Path(f"/data/log.{WRITER}")
    assert file_for(Path("/database/eco2ai.jsonl"), WRITER, mounts) == Path("/database/eco2ai.jsonl")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "tmpfs", "overlay", "btrfs", "fuse.fuse-overlayfs"])
def test_on_a_disk_of_its_own_all_write_into_one(mounts: Path, kind: str):
    mounts.write_text(mount("/", kind))
    assert file_for(Path("/data/eco2ai.jsonl"), WRITER, mounts) == Path("/data/eco2ai.jsonl")


def test_on_windows_each_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = tmp_path / "eco2ai.jsonl"
    monkeypatch.setattr(os, "name", "nt")
    own = file_for(log, WRITER)
    monkeypatch.undo()
    assert own == tmp_path / f"eco2ai.{WRITER}.jsonl"


class TestFileSystem:
    def test_it_is_that_of_the_innermost_mount(self, mounts: Path):
        mounts.write_text(mount("/a/b", "nfs4") + mount("/", "ext4") + mount("/a", "xfs"))
        kinds = [file_system(Path(p), mounts) for p in ("/x", "/a/x", "/a/b/x", "/a/bc", "/a/b")]
        assert kinds == ["ext4", "xfs", "nfs4", "xfs", "nfs4"]

    def test_of_two_on_one_point_the_later_hides_the_earlier(self, mounts: Path):
        mounts.write_text(mount("/a", "nfs4") + mount("/a", "tmpfs"))
        assert file_system(Path("/a/x"), mounts) == "tmpfs"

    def test_a_point_with_spaces_is_escaped_there(self, mounts: Path):
        mounts.write_text(mount("/", "ext4") + mount("/my\\040data\\134x", "nfs"))
        assert file_system(Path("/my data\\x/log"), mounts) == "nfs"

    def test_a_link_leads_to_where_the_file_is(self, mounts: Path, tmp_path: Path):
        (tmp_path / "far").mkdir()
        (tmp_path / "near").symlink_to(tmp_path / "far")
        mounts.write_text(mount("/", "ext4") + mount(str(tmp_path / "far"), "nfs"))
        assert file_system(tmp_path / "near/log", mounts) == "nfs"

    def test_it_is_not_known_where_the_system_does_not_say(self, mounts: Path):
        assert file_system(Path("/a"), mounts) == ""
        mounts.write_bytes(b"\xff garbage\n\n" + mount("/other", "nfs").encode())
        assert file_system(Path("/a"), mounts) == ""

    def test_that_of_this_machine_is_known(self, tmp_path: Path):
        if not Path("/proc/self/mountinfo").exists():
            pytest.skip("only Linux lists its mounts there")
        assert file_system(tmp_path, Path("/proc/self/mountinfo")) != ""


class TestFiles:
    def test_readers_find_the_log_and_its_writers_files(self, tmp_path: Path):
        log = tmp_path / "eco2ai.jsonl"
        own = [tmp_path / f"eco2ai.{digit * 16}.jsonl" for digit in "0a"]
        for file in (log, *own):
            file.touch()
        assert files_of(log) == [log, *own]
        log.unlink()
        assert files_of(log) == own

    def test_another_log_beside_it_is_not_taken_for_a_writers(self, tmp_path: Path):
        for name in (
            "eco2ai.second.jsonl",
            f"eco2ai.{WRITER}.csv",
            f"eco2aix{WRITER}.jsonl",
            f"eco2ai.{WRITER}0.jsonl",
        ):
            (tmp_path / name).touch()
        (tmp_path / f"eco2ai.{WRITER}.jsonl").mkdir()
        assert files_of(tmp_path / "eco2ai.jsonl") == []

    def test_a_name_is_no_pattern(self, tmp_path: Path):
        log = tmp_path / "run[1]*.jsonl"
        own = tmp_path / f"run[1]*.{WRITER}.jsonl"
        own.touch()
        assert files_of(log) == [own]

    def test_a_folder_that_is_not_there_has_none(self, tmp_path: Path):
        assert files_of(tmp_path / "missing" / "eco2ai.jsonl") == []
