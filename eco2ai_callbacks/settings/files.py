"""The files that settings may come from: where they are looked for, and how they are read."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from eco2ai_callbacks.settings import trust
from eco2ai_callbacks.settings.trust import Fault

MAX_BYTES = 2**20

logger: logging.Logger = logging.getLogger("eco2ai_callbacks")

# The files that this process has named in a warning.
_named: set[Path] = set()


def home_folder() -> Path | None:
    """Return the user's home folder; ``None`` where there is none, as for a container's user."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def search_folders(folder: Path) -> list[Path]:
    """Return the folders in which a ``pyproject.toml`` is looked for, the nearest first.

    The search ends at the root of the repository or at the home folder, whichever comes first. Outside of both it
    ends at the first folder that is not the user's or root's alone. No file there is used, but it can be named.

    Args:
        folder: Where the search begins.
    """
    folder = folder.absolute()
    chain = [folder, *folder.parents]
    home = home_folder()
    at_home = None if home is None else _stat(home)
    for count, each in enumerate(chain, 1):
        if _stat(each / ".git") is not None:
            return chain[:count]
        if at_home is not None and (found := _stat(each)) is not None and os.path.samestat(found, at_home):
            return chain[:count]
    for count, each in enumerate(chain, 1):
        if not trust.is_private(each):
            return chain[:count]
    return chain


def trusted_text(path: Path, holds_settings: Callable[[str], bool]) -> str | None:
    """Return the text of a file that settings may come from; ``None`` where it is missing or passed over.

    A file is passed over if others may have written it, if it cannot be read, if it is no regular file or if it is
    too large. It is named in a warning, once in a process.

    Args:
        path: The file.
        holds_settings: Whether a text that is passed over is worth a warning.
    """
    try:
        text, fault = _read(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) or not _is_there(path):
            return None
        text, fault = None, Fault(f"it cannot be read ({error.strerror})", "give yourself the right to read it")
    if fault is None:
        return text
    if text is None or holds_settings(text):
        _name(path, fault)
    return None


def pyproject_holds_settings(text: str) -> bool:
    """Return whether the text of a ``pyproject.toml`` seems to hold settings of ours.

    The text may be an attacker's, and some texts keep a TOML parser busy for minutes. So only the names of tables
    and keys are compared.

    Example:
        >>> pyproject_holds_settings('[tool.eco2ai]')
        True
        >>> pyproject_holds_settings('[project] # not [tool.eco2ai]')
        False
    """
    table = ""
    for line in text.splitlines():
        name = re.sub(r"[\s\"']", "", line)
        if name.startswith("["):
            name = table = f"{name.split(']')[0].lstrip('[')}."
        else:
            name = f"{table}{name}"
        if name.startswith(("tool.eco2ai.", "tool.eco2ai=")):
            return True
    return False


def site_holds_settings(text: str) -> bool:
    """Return whether the text of a site file holds anything: the file is ours alone."""
    return bool(text.strip())


def _read(path: Path) -> tuple[str | None, Fault | None]:
    """Return the text of a file, where it can be read, and why it is passed over, where it is."""
    # To open a device can be an act of its own, so it is looked at before.
    if (fault := _fault_of_kind(path.stat())) is not None:
        return None, fault
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        # Another file may have taken its place since then.
        opened = os.fstat(descriptor)
        if (fault := _fault_of_kind(opened)) is not None:
            return None, fault
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            return None, _too_large()
        return raw.decode("utf-8", "replace"), trust.fault(path, opened)
    finally:
        os.close(descriptor)


def _fault_of_kind(found: os.stat_result) -> Fault | None:
    if stat.S_ISDIR(found.st_mode):
        raise FileNotFoundError  # a folder of that name stands for no file
    if not stat.S_ISREG(found.st_mode):
        return Fault("it is not a regular file", "remove it or put a regular file in its place")
    return _too_large() if found.st_size > MAX_BYTES else None


def _too_large() -> Fault:
    return Fault("it is larger than 1 MiB", "make it smaller")


def _name(path: Path, fault: Fault) -> None:
    if path in _named:
        return
    _named.add(path)
    with contextlib.suppress(Exception):  # a log handler of the user's
        logger.warning("no settings are read from %s, for %s; %s", trust.shown(path), fault.why, fault.remedy)


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except OSError:
        return False
    return True


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
