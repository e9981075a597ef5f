"""The three exceptions of this package."""

from __future__ import annotations


class Eco2AIError(Exception):
    """The base of all exceptions of this package; raised itself where a tracker is used in the wrong order."""


class SettingsError(Eco2AIError, ValueError):
    """A value of a setting is not accepted; the text names the setting, the value and what is accepted."""


class MeterUnavailable(Eco2AIError):
    """A source of energy figures cannot be used on this machine.

    Args:
        reason: The reason, one clause that follows the source's name (``absent: virtual machine``).
        hint: What would enable the source, as commands to type, where there is a way.
        wanted: Whether the source would be used if it could be; false where a setting or the kind of machine calls for
            another one.
    """

    def __init__(self, reason: str, hint: str | None = None, *, wanted: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.wanted = wanted
