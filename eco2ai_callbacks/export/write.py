"""Write logs in one of the forms: to a file that is there only once it is whole, or as a text."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.export.forms import Form, NotExported, Takes, checked, nothing
from eco2ai_callbacks.report.load import Progress, load_selection
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.select import Selection

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported.

    Args:
        runs: The runs.
        text: The text, or what was sent; empty where a file was written.
    """

    runs: Runs
    text: str = ""


def export(
    selection: Selection,
    form: Form,
    options: Mapping[str, str] | None = None,
    *,
    output: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write the logs of a selection in a form.

    Args:
        selection: The logs.
        form: The form.
        options: Values of the form's own options, by key.
        output: The file to write; ``None`` returns a text.
        force: Whether a file that exists is written over.
        progress: Called with the bytes that were read; each log is read :attr:`.Form.readings` times.

    Raises:
        NotExported: The extra is not installed, an option or the output is not accepted, or there is nothing to export.
        NoLog: No log holds a record.
        OSError: A log cannot be read.
    """
    module = form.load()
    values = checked(module, form, options or {})
    if output is not None:
        _accept(form, output, force)
    elif form.takes is Takes.FILE:
        raise NotExported(f"--format {form.name} writes a file; --output is needed, such as eco2ai{form.suffix}.")
    if form.takes is Takes.FILE:
        assert output is not None
        return Exported(_place(output, force, lambda part: module.write(selection, values, part, progress)))
    runs = load_selection(selection, progress=progress)
    if not runs.runs:
        raise nothing(selection)
    try:
        text: str = module.write(runs, values)
    except SettingsError as error:
        # A sentence may begin with the form's name.
        raise NotExported(f"--format {form.name}: {str(error).removeprefix(f'{form.name} ')}") from None
    if output is None:
        return Exported(runs, text)
    _place(output, force, lambda part: _write_text(part, text))
    return Exported(runs)


def _accept(form: Form, output: Path, force: bool) -> None:
    """Refuse an output before the logs are read, which may take long."""
    if form.takes is Takes.SENT:
        raise NotExported(
            f"--output={str(output)!r} is not accepted: --format {form.name} is sent, and writes no file."
        )
    if output.is_dir():
        raise NotExported(f"--output={str(output)!r} is a folder; accepted is the name of a file.")
    if output.exists() and not force:
        raise NotExported(f"--output={str(output)!r} exists; --force writes over it.")


def _place(output: Path, force: bool, write: Callable[[Path], T]) -> T:
    """Write a file beside its place, and put it there once it is whole; return what writing it returns.

    Raises:
        NotExported: It cannot be written, or another file has taken the place meanwhile.
    """
    try:
        folder = tempfile.mkdtemp(prefix=f".{output.name[:100]}.", dir=output.parent)
    except OSError as error:
        raise _not_written(output, error) from None
    part = Path(folder, output.name)
    try:
        found = write(part)
        _move(part, output, force)
    except OSError as error:
        # What is to be read may fail as well: then the error is about a log.
        if error.filename is not None and Path(os.fsdecode(error.filename)) not in (part, output):
            raise
        raise _not_written(output, error) from None
    finally:
        part.unlink(missing_ok=True)
        Path(folder).rmdir()
    return found


def _move(part: Path, output: Path, force: bool) -> None:
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    if force:
        part.replace(output)
        return
    try:
        # A link fails where something is in its place, also what came there just now.
        output.hardlink_to(part)
    except FileExistsError as error:
        raise FileExistsError(error.errno, error.strerror, str(output)) from None
    except (OSError, NotImplementedError):  # a file system without links
        if output.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(output)) from None
        part.replace(output)


def _write_text(part: Path, text: str) -> None:
    # Names may hold half of a character in two parts.
    part.write_bytes(text.encode("utf-8", "backslashreplace"))


def _not_written(output: Path, error: OSError) -> NotExported:
    return NotExported(f"--output={str(output)!r} cannot be written: {error.strerror or error}.")
