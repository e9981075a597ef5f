"""Whom a file is trusted to come from."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from eco2ai_callbacks.settings import trust

OTHER = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    for each in (folder, folder.parent):
        each.chmod(0o755)
    path = folder / "x.toml"
    path.touch()
    path.chmod(0o644)
    return path


def why(path: Path) -> str | None:
    """Why a file is not trusted."""
    fault = trust.fault(path, path.stat())
    return None if fault is None else fault.why


class TestFile:
    def test_the_users_own_is_trusted(self, file: Path):
        assert why(file) is None

    @as_root
    def test_that_of_another_user_is_not(self, file: Path):
        os.chown(file, OTHER, OTHER)
        assert why(file) == f"it belongs to another user (uid {OTHER})"

    @as_root
    def test_that_of_root_is_trusted_by_every_user(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        assert why(file) is None

    @as_root
    def test_that_of_the_user_is_trusted_where_he_is_not_root(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        os.chown(file, 12345, 12345)
        assert why(file) is not None
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        assert why(file) is None

    def test_one_that_all_may_write_is_not_and_the_remedy_is_named(self, file: Path):
        file.chmod(0o646)
        fault = trust.fault(file, file.stat())
        assert fault == trust.Fault("others than its owner may write it", f"run 'chmod go-w {file}'")

    def test_one_that_was_replaced_is_not(self, file: Path):
        opened = file.stat()
        file.rename(file.with_name("old"))
        file.touch(0o644)
        assert trust.fault(file, opened) == trust.Fault("it was replaced while it was read", "start again")

    def test_where_files_have_no_owners_every_file_is_trusted(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        file.chmod(0o666)
        monkeypatch.delattr(os, "geteuid")
        assert why(file) is None
        assert trust.is_private(file.parent / "missing")


class TestGroups:
    @pytest.fixture
    def by_group(self, file: Path) -> Path:
        file.chmod(0o664)
        return file

    def entries(self, patch: pytest.MonkeyPatch, first: int | None, members: list[str] | None) -> None:
        """Give the user a first group, and every group members; where they are ``None``, there is no entry."""

        def user(uid: int) -> SimpleNamespace:
            if first is None:
                raise KeyError(uid)
            return SimpleNamespace(pw_name="me", pw_gid=first)

        def group(gid: int) -> SimpleNamespace:
            if members is None:
                raise KeyError(gid)
            return SimpleNamespace(gr_mem=members)

        patch.setattr(pwd, "getpwuid", user)
        patch.setattr(grp, "getgrgid", group)

    @as_root
    def test_that_of_many_is_not_trusted(self, by_group: Path):
        os.chown(by_group, 0, 100)
        assert why(by_group) == "others than its owner may write it"

    @as_root
    @pytest.mark.parametrize(("first", "members"), [(0, None), (0, []), (0, ["me"]), (None, None), (None, [])])
    def test_that_of_the_owner_alone_is_trusted(
        self, by_group: Path, monkeypatch: pytest.MonkeyPatch, first: int | None, members: list[str] | None
    ):
        os.chown(by_group, 0, 0)
        self.entries(monkeypatch, first, members)
        assert why(by_group) is None

    @as_root
    @pytest.mark.parametrize(("first", "members"), [(0, ["me", "you"]), (100, []), (None, ["you"])])
    def test_one_of_the_same_number_that_others_are_in_is_not(
        self, by_group: Path, monkeypatch: pytest.MonkeyPatch, first: int | None, members: list[str]
    ):
        os.chown(by_group, 0, 0)
        self.entries(monkeypatch, first, members)
        assert why(by_group) == "others than its owner may write it"


class TestFolders:
    @pytest.mark.parametrize("up", [0, 1])
    def test_one_that_all_may_write_is_not_trusted(self, file: Path, up: int):
        folder = file.parents[up]
        folder.chmod(0o777)
        assert why(file) == f"others than its owner may write the folder {folder}"

    @as_root
    @pytest.mark.parametrize("up", [0, 1])
    def test_one_of_another_user_is_not(self, file: Path, up: int):
        folder = file.parents[up]
        os.chown(folder, OTHER, OTHER)
        assert why(file) == f"the folder {folder} belongs to another user (uid {OTHER})"

    def test_a_sticky_one_around_the_users_folder_is(self, file: Path):
        file.parents[1].chmod(0o1777)
        assert why(file) is None

    def test_a_file_straight_in_a_sticky_one_is_not(self, file: Path):
        file.parent.chmod(0o1777)
        assert why(file) == f"others than its owner may write the folder {file.parent}"

    @as_root
    def test_root_is_not_told_to_change_a_folder_that_many_use(self, file: Path):
        file.parent.chmod(0o1777)
        fault = trust.fault(file, file.stat())
        assert fault is not None
        assert "chmod" not in fault.remedy

    def test_one_is_private_if_nobody_else_may_write_it(self, file: Path):
        assert trust.is_private(file.parent)
        for mode in (0o777, 0o1777):
            file.parent.chmod(mode)
            assert not trust.is_private(file.parent)
        assert not trust.is_private(file.parent / "missing")

    @as_root
    def test_one_of_another_user_is_not_private(self, file: Path):
        os.chown(file.parent, OTHER, OTHER)
        assert not trust.is_private(file.parent)


class TestLinks:
    def test_the_users_own_are_followed(self, file: Path, tmp_path: Path):
        (tmp_path / "folder").symlink_to("a/./b")
        (tmp_path / "link").symlink_to("folder/../b/x.toml")
        (tmp_path / "other").symlink_to(tmp_path / "link")
        assert why(tmp_path / "other") is None

    @as_root
    def test_one_of_another_user_is_not_trusted(self, file: Path, tmp_path: Path):
        link = tmp_path / "link"
        link.symlink_to(file)
        os.chown(link, OTHER, OTHER, follow_symlinks=False)
        assert why(link) == f"the link {link} belongs to another user (uid {OTHER})"

    def test_the_folders_of_the_target_are_looked_at(self, file: Path, tmp_path: Path):
        (tmp_path / "link").symlink_to(file)
        file.parent.chmod(0o777)
        assert why(tmp_path / "link") == f"others than its owner may write the folder {file.parent}"

    def test_the_folders_of_a_link_between_are_looked_at(self, file: Path, tmp_path: Path):
        between = tmp_path / "between"
        between.mkdir()
        (between / "link").symlink_to(file)
        (tmp_path / "link").symlink_to(between / "link")
        between.chmod(0o1777)
        assert why(tmp_path / "link") == f"others than its owner may write the folder {between}"

    def test_a_circle_ends(self, tmp_path: Path, file: Path):
        (tmp_path / "one").symlink_to("two")
        (tmp_path / "two").symlink_to("one")
        with pytest.raises(OSError, match="symbolic links"):
            trust.fault(tmp_path / "one", file.stat())


def test_a_path_that_could_mislead_a_terminal_is_quoted():
    assert trust.shown(Path("/a b/ж")) == "/a b/ж"
    assert trust.shown(Path("/a\x1b[2J")) == r"'/a\x1b[2J'"
