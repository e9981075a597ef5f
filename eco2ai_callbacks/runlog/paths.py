"""The files of a run log: the one that a writer appends to, and those that a reader reads."""

from __future__ import annotations

import os
import re
from pathlib import Path

# File systems on which an append of two machines, or of two clients, may be torn or lost.
_SHARED = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "9p", "afs", "glusterfs", "orangefs"}
    | {"pvfs2", "panfs", "wekafs", "virtiofs", "vboxsf", "davfs"}
    # in user space
    | {"ceph-fuse", "sshfs", "juicefs", "s3fs", "mount-s3", "goofys", "gcsfuse", "blobfuse2", "rclone"}
)


def file_for(path: Path, writer: str, mounts: Path = Path("/proc/self/mountinfo")) -> Path:
    """Return the file that a writer appends to: the log itself, or its own beside it where appending is not atomic.

    Args:
        path: The log.
        writer: The writer's id.
        mounts: Linux's list of mounts.
    """
    shared = os.name == "nt" or file_system(path, mounts) in _SHARED
    return path.with_name(f"{path.stem}.{writer}{path.suffix}") if shared else path


def files_of(path: Path) -> list[Path]:
    """Return the log and the writers' own files beside it that exist."""
    # A writer's id is 16 hexadecimal digits: `eco2ai.second.jsonl` is a log of its own.
    own = re.compile(rf"{re.escape(path.stem)}\.[0-9a-f]{{16}}{re.escape(path.suffix)}")
    beside = [p for p in path.parent.iterdir() if own.fullmatch(p.name)] if path.parent.is_dir() else []
    return [p for p in (path, *sorted(beside)) if p.is_file()]


def file_system(path: Path, mounts: Path) -> str:
    """Return the type of the file system that holds a path; empty where it is not known."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    where = os.path.realpath(path)
    for line in lines:
        # proc_pid_mountinfo(5): the fifth field is the mount point, the first after the dash the type.
        left, _, right = line.partition(" - ")
        fields, types = left.split(" "), right.split(" ")
        if len(fields) < 5:
            continue
        point = fields[4]
        if "\\" in point:
            point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point)
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, types[0]
    return kind.removeprefix("fuse.")
