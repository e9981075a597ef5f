"""The three exceptions of this package, and the sentence about a value that is not accepted."""

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


def refusal(given: str, accepted: str, where: str | None = None) -> str:
    """Return the sentence about a value that is not accepted.

    Args:
        given: The name of the value and the value, as the user writes them.
        accepted: What is accepted, in words.
        where: Where the value came from, where it can come from several places.

    Example:
        >>> refusal("pue=0", "a number from 1 to 10", "argument")
        'pue=0 (from argument) is not accepted; accepted: a number from 1 to 10.'
    """
    source = "" if where is None else f" (from {where})"
    return f"{given}{source} is not accepted; accepted: {accepted}."
