"""Keep calibrations in files of one JSON object a line: the user's, and the site's for all users of a machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from eco2ai_callbacks.calibration.fit import CpuFit
from eco2ai_callbacks.calibration.machine import Machine
from eco2ai_callbacks.calibration.places import SITE_FILE, default_files, user_file
from eco2ai_callbacks.calibration.wall import WallFit
from eco2ai_callbacks.settings import files

__all__ = ["SITE_FILE", "Choice", "Entry", "Found", "append", "choose", "default_files", "read", "user_file"]

FORMAT = 1
_MARK = "eco2ai_calibration"
# Fans and paste age, and firmware changes: from this age on doctor advises a new calibration. It is used all the same.
OLD_DAYS = 365

Kind = Literal["cpu", "wall"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One calibration.

    Args:
        machine: What it belongs to.
        fit: The fit.
        day: When it was made.
        version: The version of this package that made it.
        shared: Whether it may come from another machine with the same processor.
        file: The file that it was read from.
    """

    machine: Machine
    fit: CpuFit | WallFit
    day: date
    version: str
    shared: bool = False
    file: Path | None = None

    @property
    def kind(self) -> Kind:
        """``cpu`` or ``wall``."""
        return "cpu" if isinstance(self.fit, CpuFit) else "wall"

    def line(self) -> str:
        """Return the entry as a line of a store, without its end."""
        values = {
            _MARK: FORMAT,
            "kind": self.kind,
            "date": self.day.isoformat(),
            "version": self.version,
            "shared": self.shared,
            "machine": self.machine.to_dict(),
            "fit": self.fit.to_dict(),
        }
        return json.dumps(values, allow_nan=False)

    @classmethod
    def parse(cls, line: str, file: Path | None = None) -> Entry:
        """Return the inverse of :meth:`line`.

        Args:
            line: The line.
            file: Where it comes from.

        Raises:
            ValueError: It is no entry; the message is why, as one clause.
        """
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError("it is no JSON") from None
        if not isinstance(values, dict) or _MARK not in values:
            raise ValueError("it is no calibration")
        if values[_MARK] != FORMAT:
            raise ValueError(f"its format is {values[_MARK]!r}, and this version reads {FORMAT}")
        machine, fit = _object(values, "machine"), _object(values, "fit")
        kinds: dict[Any, Any] = {"cpu": CpuFit, "wall": WallFit}
        if not isinstance(values.get("kind"), str) or values["kind"] not in kinds:
            raise ValueError(f"kind={values.get('kind')!r} is neither 'cpu' nor 'wall'")
        try:
            day = date.fromisoformat(str(values.get("date")))
        except ValueError:
            raise ValueError(f"date={values.get('date')!r} is no date") from None
        found = cls(
            Machine.from_dict(machine),
            kinds[values["kind"]].from_dict(fit),
            day,
            str(values.get("version", "")),
            values.get("shared") is True,
            file,
        )
        if isinstance(found.fit, CpuFit) and found.fit.threads != found.machine.threads:
            raise ValueError("its fit is for another number of threads than its machine has")
        return found


@dataclass(frozen=True, slots=True)
class Found:
    """What the stores hold.

    Args:
        entries: The calibrations, those of the first file first, and the last line of a file last.
        faults: What was passed over, one clause each.
    """

    entries: tuple[Entry, ...] = ()
    faults: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Choice:
    """The calibration of a machine, or why there is none.

    Args:
        entry: The calibration to use.
        stale: One for the same processor that no longer matches, where there is none to use.
        why: Why that one does not match, one clause each.
    """

    entry: Entry | None = None
    stale: Entry | None = None
    why: tuple[str, ...] = ()


def read(paths: Iterable[Path] | None = None) -> Found:
    """Return the calibrations in the files that only the user and root can have written; a bad line spoils no other.

    Args:
        paths: The files, :func:`default_files` by default.
    """
    entries: list[Entry] = []
    faults: list[str] = []
    for path in default_files() if paths is None else paths:
        text = files.trusted_text(path, files.site_holds_settings)
        for number, line in enumerate((text or "").splitlines(), 1):
            if not line.strip():
                continue
            try:
                entries.append(Entry.parse(line, path))
            except ValueError as why:
                faults.append(f"{path}, line {number}: {why}")
    return Found(tuple(entries), tuple(faults))


def choose(found: Found, kind: Kind, machine: Machine) -> Choice:
    """Return the newest calibration that matches the machine; one made on it before one that was shared.

    Args:
        found: What the stores hold.
        kind: ``cpu`` or ``wall``.
        machine: The machine as it is.
    """
    same = [entry for entry in found.entries if entry.kind == kind and entry.machine.is_same_processor(machine)]
    matching = [entry for entry in same if not entry.machine.differences(machine)]
    if matching:
        return Choice(_newest(matching))
    if not same:
        return Choice()
    stale = _newest(same)
    return Choice(None, stale, stale.machine.differences(machine))


def _newest(entries: Sequence[Entry]) -> Entry:
    own = [entry for entry in entries if not entry.shared] or entries
    # Of one day's, the last line of the first file.
    last_day = max(entry.day for entry in own)
    of_day = [entry for entry in own if entry.day == last_day]
    return next(entry for entry in reversed(of_day) if entry.file == of_day[0].file)


def append(path: Path, entry: Entry, *, public: bool = False) -> None:
    """Add a calibration to a file, as one write: two writers lose nothing of each other's.

    Args:
        path: The file; it and its folder are created where they are missing.
        entry: The calibration.
        public: Whether what is created is readable by all users, whatever the umask: root's is often strict.

    Raises:
        OSError: It cannot be written.
    """
    new_folder, new_file = not path.parent.exists(), not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        if public and new_folder:
            path.parent.chmod(0o755)
        if public and new_file:
            path.chmod(0o644)
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n" if hasattr(os, "pread") else size > 0
        content = ("\n" if torn else "") + entry.line() + "\n"
        if os.write(descriptor, content.encode()) != len(content.encode()):
            raise OSError(28, "the disk is full", str(path))
    finally:
        os.close(descriptor)


def _object(values: dict[str, Any], name: str) -> dict[str, Any]:
    value = values.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"{name} is missing")
    return value
