"""Which file a writer appends to, and which files a reader must look into."""

from __future__ import annotations

import os
from pathlib import Path

# File systems on which an append of two machines, or of two clients, may be torn or lost.
_SHARED = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "9p", "afs", "glusterfs"}
)


def file_for(path: Path, writer: str, mounts: Path = Path("/proc/self/mountinfo")) -> Path:
    """The file that a writer appends to: the log itself, or its own beside it where appending is not atomic.

    Args:
        path: The log.
        writer: The writer's id.
        mounts: Where Linux lists its mounts.
    """
    shared = os.name == "nt" or file_system(path, mounts) in _SHARED
    return path.with_name(f"{path.stem}.{writer}{path.suffix}") if shared else path


def files_of(path: Path) -> list[Path]:
    """The log and the writers' own files beside it, as far as they exist."""
    beside = sorted(path.parent.glob(f"{path.stem}.*{path.suffix}")) if path.parent.is_dir() else []
    return [p for p in (path, *beside) if p.is_file()]


def file_system(path: Path, mounts: Path) -> str:
    """Type of the file system that holds a path; empty where it is not known."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    where = str(path.absolute())
    for line in lines:
        left, _, right = line.partition(" - ")
        point = left.split()[4].replace("\\040", " ")
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return kind.removeprefix("fuse.")
