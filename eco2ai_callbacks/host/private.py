"""A private folder and private files of this user, also inside folders that others can write to."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path


def own_folder(*, create: bool = False) -> Path:
    """Return a folder that only this user can read and write.

    It is the first that is private or can be made so: in the folder for temporary files, in ``XDG_RUNTIME_DIR``, in
    the home folder's cache. In a folder that all users share, another user may have taken the name. Without ``create``
    the first of these paths is returned where no such folder exists.

    Args:
        create: Whether to create it.

    Raises:
        OSError: No such folder can be created.
    """
    if not hasattr(os, "getuid"):  # Windows: the folder for temporary files is the user's own
        return _made(Path(tempfile.gettempdir()) / "eco2ai-trackers", create)
    places = []
    with contextlib.suppress(OSError):  # a machine may have no folder for temporary files
        places.append(Path(tempfile.gettempdir()) / f"eco2ai-trackers-{os.getuid()}")
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        places.append(Path(runtime) / "eco2ai-trackers")
    with contextlib.suppress(RuntimeError):  # a container's user may have no home
        places.append(Path.home() / ".cache" / "eco2ai" / "trackers")
    for place in places:
        with contextlib.suppress(OSError):
            if _is_own(_made(place, create)):
                return place
    if create or not places:
        raise PermissionError(errno.EACCES, "no folder of the user's own can be made", *map(str, places[:1]))
    return places[0]


def _made(folder: Path, create: bool) -> Path:
    if create:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _is_own(folder: Path) -> bool:
    """Return whether a folder is this user's and private; one that others can access is made private."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return False
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    return True


def is_private(found: os.stat_result) -> bool:
    """Return whether a folder that :func:`own_folder` has found is still the user's own, and private.

    Args:
        found: Its status, without following a link.
    """
    if not hasattr(os, "getuid"):
        return True
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def read_own(path: Path, most: int) -> bytes:
    """Return the content of a small regular file that belongs to this user; empty for anything else.

    Follows no symbolic link, and never blocks, as a read of a pipe would.

    Args:
        path: The file.
        most: Largest accepted size, in bytes.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        file = os.open(path, flags)
    except OSError:
        return b""
    try:
        found = os.fstat(file)
        own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
        if not (own and stat.S_ISREG(found.st_mode) and found.st_size <= most):
            return b""
        return os.read(file, most)
    except OSError:
        return b""
    finally:
        os.close(file)
