"""Which logs a person means: files, folders, patterns and addresses of other file systems."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from eco2ai_callbacks.runlog.paths import files_of

LOG, TABLE = ".jsonl", ".csv"
_SUFFIXES = (LOG, TABLE)
_ACCEPTED = (
    f"accepted is a run log such as eco2ai{LOG}, another tool's {TABLE}, a folder of them, "
    f"or a pattern such as 'logs/*{LOG}'"
)


class NoLog(ValueError):
    """A path that leads to no log, in one sentence."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The logs to read.

    Args:
        logs: Each log once. The files of single writers beside a log belong to it.
        names: What a person calls them: the address, where a log was fetched from elsewhere.
    """

    logs: tuple[Path, ...]
    names: tuple[str, ...]


@contextmanager
def selected(given: str | Path | Iterable[str | Path]) -> Iterator[Selection]:
    """Return the logs that paths, folders, patterns and addresses name, in a fixed order.

    Logs with an address (``s3://bucket/logs``) are copied into a temporary folder, which is removed at the end.

    Args:
        given: One of them, or several.

    Raises:
        NoLog: One of them names no log.
        OSError: A folder cannot be read.
    """
    paths = [given] if isinstance(given, str | Path) else list(given)
    with contextlib.ExitStack() as stack:
        found: dict[Path, str] = {}
        for path in paths:
            if "://" in str(path):
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eco2ai-report-")))
                found |= _fetched(str(path), folder)
            else:
                found |= {file.resolve(): str(file) for file in _local(Path(path).expanduser())}
        logs = _without_own_files(found)
        yield Selection(tuple(logs), tuple(found[log] for log in logs))


def _local(path: Path) -> list[Path]:
    """Return the logs at a path of this machine."""
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
        if not found:
            raise NoLog(f"LOG={str(path)!r} is a folder without any *{LOG} or *{TABLE} file; {_ACCEPTED}.")
        return found
    # A file's name may hold what a pattern could; a log may have writers' own files alone beside it.
    if path.exists() or files_of(path):
        if path.exists() and not path.is_file():
            raise NoLog(f"LOG={str(path)!r} is no regular file; {_ACCEPTED}.")
        return [path]
    try:
        matches = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))) if path.name else []
    except (ValueError, NotImplementedError):  # no pattern: `**.jsonl`
        matches = []
    found = [file for match in matches for file in _local(match)]
    if not found:
        raise NoLog(f"LOG={str(path)!r} is not there; {_ACCEPTED}.")
    return found


def _without_own_files(found: Iterable[Path]) -> list[Path]:
    """Return the logs without the files of single writers that another log of the selection has beside it."""
    logs = list(dict.fromkeys(found))
    chosen = set(logs)
    owned: set[Path] = set()
    # Only a name with a second dot can be a writer's own file; of a folder of thousands, few are.
    stems = {log.with_name(log.stem.rpartition(".")[0] + log.suffix) for log in logs if "." in log.stem}
    for log in stems & chosen:
        owned |= {file for file in files_of(log) if file != log}
    return [log for log in logs if log not in owned]


def _fetched(address: str, folder: Path) -> dict[Path, str]:
    """Copy the logs at an address into a folder; return their paths and addresses."""
    fs, where = _file_system(address)
    scheme = address.partition("://")[0]
    try:
        if fs.isdir(where):
            names = [name for name in fs.find(where) if PurePosixPath(name).suffix in _SUFFIXES]
        else:
            names = [where] if fs.exists(where) else list(fs.glob(where))
        found: dict[Path, str] = {}
        for name in sorted(names):
            # The name of a file elsewhere is no path here: its last part alone, behind a number.
            path = folder / str(len(found)) / (PurePosixPath(name).name or f"log{LOG}")
            path.parent.mkdir()
            fs.get_file(name, str(path))
            found[path.resolve()] = name if "://" in name else f"{scheme}://{name.lstrip('/')}"
    except (OSError, ValueError) as error:
        raise NoLog(f"LOG={address!r} cannot be read: {error}.") from None
    if not found:
        raise NoLog(f"LOG={address!r} is not there; {_ACCEPTED}.")
    return found


def _file_system(address: str) -> tuple[Any, str]:
    """Return the file system of an address and the path inside of it."""
    try:
        core: Any = importlib.import_module("fsspec.core")
    except ImportError:
        raise NoLog(f'LOG={address!r} needs the package fsspec: pip install "eco2ai_callbacks[remote]".') from None
    try:
        fs, where = core.url_to_fs(address)
    except ImportError as error:  # s3fs, gcsfs, ...
        raise NoLog(f"LOG={address!r} needs one more package: {error}") from None
    except ValueError as error:
        raise NoLog(f"LOG={address!r} cannot be read: {error}") from None
    return fs, where
