"""Whom a file is trusted to come from: its owner, who may write it, and the folders on the way to it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# As many as Linux follows.
_MAX_LINKS = 40
_MOVE = "put its settings into a file in a folder of your own that nobody else may write, or into ECO2AI_* variables"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a file is passed over.

    Args:
        why: The reason, as one clause.
        remedy: What the user can do, as one clause.
    """

    why: str
    remedy: str


def fault(path: Path, opened: os.stat_result) -> Fault | None:
    """Return why a file is not to be trusted; ``None`` where only the user and root can have written it.

    The file must belong to the user or to root, and nobody else may write it. The same holds for every folder on
    the way to it. A folder that others may write is accepted if it is sticky, as ``/tmp`` is, and the way leads on
    into a folder: there, nobody else can replace what the user owns. Links are followed. They must belong to the
    user or to root. Windows is not checked, for files have no such owners there.

    Args:
        path: The file.
        opened: What ``os.fstat`` says of the descriptor from which it is read.
    """
    if not hasattr(os, "geteuid"):
        return None
    if not _is_ours(opened):
        return Fault(f"it belongs to another user (uid {opened.st_uid})", _MOVE)
    if _others_may_write(opened):
        return Fault("others than its owner may write it", _chmod(path, opened))
    last = None
    for folder, entry, found in _way(path):
        if (why := _fault_of_step(folder, entry, found)) is not None:
            return why
        last = found
    # The folders that were looked at must be those of the file that was opened.
    same = last is not None and os.path.samestat(last, opened)
    return None if same else Fault("it was replaced while it was read", "start again")


def is_private(folder: Path) -> bool:
    """Return whether a folder belongs to the user or to root, and nobody else may write it, sticky or not."""
    if not hasattr(os, "geteuid"):
        return True
    try:
        found = folder.stat()
    except OSError:
        return False
    return _is_ours(found) and not _others_may_write(found)


def shown(path: Path) -> str:
    """Return a path for a message: as it is, or quoted where a terminal could be misled by it."""
    return str(path) if str(path).isprintable() else repr(str(path))


def _fault_of_step(folder: Path, entry: Path, found: os.stat_result) -> Fault | None:
    """Return why a step of the way is not to be trusted.

    Args:
        folder: The folder in which the step is taken.
        entry: The folder, link or file to which it leads.
        found: What ``lstat`` says of the entry.
    """
    around = folder.lstat()
    if not _is_ours(around):
        return Fault(f"the folder {shown(folder)} belongs to another user (uid {around.st_uid})", _MOVE)
    kept = around.st_mode & stat.S_ISVTX and stat.S_ISDIR(found.st_mode)
    if _others_may_write(around) and not kept:
        return Fault(f"others than its owner may write the folder {shown(folder)}", _chmod(folder, around))
    if stat.S_ISLNK(found.st_mode) and not _is_ours(found):
        return Fault(f"the link {shown(entry)} belongs to another user (uid {found.st_uid})", _MOVE)
    return None


def _way(path: Path) -> Iterator[tuple[Path, Path, os.stat_result]]:
    """Yield every step to a file, links followed: the folder, the entry in it, and the entry's ``lstat``."""
    path = path.absolute()
    here, steps = Path(path.anchor), list(reversed(path.parts[1:]))
    links = 0
    while steps:
        step = steps.pop()
        if step == "..":
            here = here.parent
            continue
        entry = here / step
        found = entry.lstat()
        yield here, entry, found
        if not stat.S_ISLNK(found.st_mode):
            here = entry
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = entry.readlink()
        here = Path(target.anchor) if target.anchor else here
        steps.extend(reversed(target.parts[bool(target.anchor) :]))


def _is_ours(found: os.stat_result) -> bool:
    return found.st_uid in (0, os.geteuid())


def _others_may_write(found: os.stat_result) -> bool:
    by_group = found.st_mode & stat.S_IWGRP and not _is_private_group(found.st_uid, found.st_gid)
    return bool(found.st_mode & stat.S_IWOTH or by_group)


def _is_private_group(uid: int, gid: int) -> bool:
    """Return whether a group is that of one user alone, as many Linux systems make it.

    It has the user's id, is the user's first group, and has no other member.
    """
    # They are missing on Windows.
    import grp
    import pwd

    if uid != gid:
        return False
    name, first = "", gid  # a container's user may have no entry, and its group neither
    try:
        user = pwd.getpwuid(uid)
        name, first = user.pw_name, user.pw_gid
    except KeyError:
        pass
    try:
        members = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        members = set()
    return first == gid and members <= {name}


def _chmod(path: Path, found: os.stat_result) -> str:
    """Return what to do about a right to write. Nobody is told to change a folder of root's, which many use."""
    mine = found.st_uid == os.geteuid() and (found.st_uid != 0 or stat.S_ISREG(found.st_mode))
    return f"run 'chmod go-w {shown(path)}'" if mine else _MOVE
