"""The options of a form: what the logs cannot know and the user states."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from eco2ai_callbacks.errors import SettingsError, refusal


class Options:
    """The options that a user has set for a form.

    Args:
        form: Name of the form, for messages.
        given: The options by name.
        known: What each option is; no other is accepted.

    Raises:
        SettingsError: An option is not known.
    """

    def __init__(self, form: str, given: Mapping[str, str], known: Mapping[str, str]) -> None:
        self._form = form
        self._given = {name: value.strip() for name, value in given.items() if value.strip()}
        self._known = known
        for name in given:
            if name not in known:
                raise SettingsError(f"{name}={given[name]!r} is no option of {form}; accepted are {', '.join(known)}.")

    def text(self, name: str) -> str | None:
        """Return an option's text; ``None`` where it is not set."""
        return self._given.get(name)

    def needed(self, name: str) -> str:
        """Return an option's text.

        Raises:
            SettingsError: It is not set.
        """
        value = self.text(name)
        if value is None:
            raise SettingsError(f"{self._form} needs the option {name}, which no log holds: {self._known[name]}.")
        return value

    def number(self, name: str, *, most: float = math.inf) -> float | None:
        """Return an option's number; ``None`` where it is not set.

        Args:
            name: The option.
            most: The largest number that is accepted.

        Raises:
            SettingsError: It is no number from 0 to ``most``.
        """
        value = self.text(name)
        if value is None:
            return None
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not (0 <= found <= most and math.isfinite(found)):
            accepted = "a number of 0 or more" if most == math.inf else f"a number from 0 to {most:g}"
            raise SettingsError(refusal(f"{name}={value!r}", accepted))
        return found

    def whole(self, name: str) -> int | None:
        """Return an option's whole number of 1 or more; ``None`` where it is not set.

        Raises:
            SettingsError: It is none.
        """
        value = self.text(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdecimal() and int(value) > 0):
            raise SettingsError(refusal(f"{name}={value!r}", "a whole number of 1 or more"))
        return int(value)

    def choice(self, name: str, accepted: Sequence[str]) -> str | None:
        """Return an option that is one of several; ``None`` where it is not set.

        Raises:
            SettingsError: It is none of them.
        """
        value = self.text(name)
        if value is not None and value not in accepted:
            raise SettingsError(refusal(f"{name}={value!r}", ", ".join(accepted)))
        return value

    def moment(self, name: str) -> datetime | None:
        """Return an option's time, in UTC; ``None`` where it is not set.

        Raises:
            SettingsError: It is no ISO 8601 time.
        """
        value = self.text(name)
        if value is None:
            return None
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            raise SettingsError(refusal(f"{name}={value!r}", "a time such as 2026-11-28T12:00:00+00:00")) from None
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
