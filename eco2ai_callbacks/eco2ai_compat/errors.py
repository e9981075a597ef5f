"""eco2AI's exceptions, by its names, as kinds of this package's own."""

from __future__ import annotations

from eco2ai_callbacks.errors import Eco2AIError, SettingsError


class IncorrectMethodSequenceError(Eco2AIError):
    """A method of a tracker was called before or after the one that it belongs to."""


class NotNeededExtensionError(SettingsError):
    """The name of a file does not end in ``.csv``."""


class NoCountryCodeError(SettingsError):
    """A region was given without its country."""


class IncorrectPricingDict(SettingsError):
    """The prices by hours do not cover the day once."""


class FileDoesNotExistsError(Eco2AIError, FileNotFoundError):
    """There is no such file."""
