"""What the schema of the settings holds of one, beside its name, type and default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eco2ai_callbacks.settings.forms import Form


@dataclass(frozen=True, slots=True)
class Entry:
    """What the schema holds of a setting beside its name, type and default."""

    meaning: str
    form: Form
    command: bool


def entry(meaning: str, form: Form, *, command: bool = False) -> Mapping[str, Entry]:
    """Return the metadata of a setting's field.

    Args:
        meaning: One line of plain text, for command-line help and the settings table.
        form: Which values it accepts.
        command: Whether it makes sense for ``eco2ai run``, which has no epochs.
    """
    return {"setting": Entry(meaning, form, command)}
