"""Nobody can plant settings for a program that another user runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs owners of files")

OTHER = 65534
KEYS = "ssh-ed25519 AAAA the user's own\n"
# What an attacker would add to the user's keys.
ATTACK = '[tool.eco2ai]\ncsv_file = "~/.ssh/authorized_keys"\nproject = "x\\nssh-ed25519 AAAA planted\\n"\n'
PROGRAM = """
from eco2ai_callbacks import Tracker
tracker = Tracker(region="FR", log_file=None, console=False)
tracker.start()
tracker.stop()
print("trained", tracker.settings.project)
"""


class Victim:
    """A user who works in a folder of his own, below one that all may write.

    Args:
        tmp_path: An empty folder.
        mode: The rights to the shared folder.
    """

    def __init__(self, tmp_path: Path, mode: int) -> None:
        self.home, self.shared = tmp_path / "home", tmp_path / "shared"
        self.keys, self.work = self.home / ".ssh/authorized_keys", self.shared / "me/project"
        self.keys.parent.mkdir(parents=True)
        self.keys.write_text(KEYS)
        self.work.mkdir(parents=True)
        self.shared.chmod(mode)

    def train(self) -> subprocess.CompletedProcess[str]:
        # The program begins in the user's folder, as a script beside its data does.
        return subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=self.work,
            env=os.environ | {"HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture(params=[0o1777, 0o777], ids=["sticky", "open"])
def victim(request: pytest.FixtureRequest, tmp_path: Path) -> Victim:
    return Victim(tmp_path, request.param)


def give_away(path: Path) -> None:
    """Make a file another user's, where the tests may."""
    if os.geteuid() == 0:
        os.chown(path, OTHER, OTHER)


def test_a_file_in_a_shared_folder_sets_nothing_and_is_named(victim: Victim) -> None:
    planted = victim.shared / "pyproject.toml"
    planted.write_text(ATTACK)
    give_away(planted)
    done = victim.train()
    assert done.stdout == "trained default\n", done.stderr
    assert victim.keys.read_text() == KEYS
    assert done.stderr.count(f"no settings are read from {planted}, for ") == 1
    assert len(done.stderr.splitlines()) == 1


def test_a_fifo_in_a_shared_folder_holds_nothing_up(victim: Victim) -> None:
    planted = victim.shared / "pyproject.toml"
    os.mkfifo(planted)
    give_away(planted)
    done = victim.train()
    assert done.stdout == "trained default\n", done.stderr
    assert "it is not a regular file" in done.stderr


def test_a_link_to_a_file_of_the_users_own_sets_nothing(victim: Victim) -> None:
    """It was not written for the programs below the shared folder."""
    other = victim.home / "other.toml"
    other.write_text('[tool.eco2ai]\nproject = "other"\n')
    planted = victim.shared / "pyproject.toml"
    planted.symlink_to(other)
    if os.geteuid() == 0:
        os.chown(planted, OTHER, OTHER, follow_symlinks=False)
    done = victim.train()
    assert done.stdout == "trained default\n", done.stderr


def test_line_breaks_are_refused_wherever_they_come_from(tmp_path: Path) -> None:
    victim = Victim(tmp_path, 0o755)
    (victim.work / "pyproject.toml").write_text(ATTACK)
    (victim.work / "pyproject.toml").chmod(0o644)
    done = victim.train()
    assert done.returncode != 0
    assert "line breaks and other control characters are not" in done.stderr
    assert victim.keys.read_text() == KEYS
