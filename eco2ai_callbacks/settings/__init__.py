"""The settings of a tracker: their schema, and the sources that they are read from."""

from __future__ import annotations

from eco2ai_callbacks.settings.args import SettingsArgs
from eco2ai_callbacks.settings.schema import COMMAND_NAMES, NAMES, Settings, accepted, describe
from eco2ai_callbacks.settings.sources import (
    OTHER_VARIABLES,
    PREFIX,
    by_name,
    resolve,
    resolved,
    spelled,
    stray_variables,
)

__all__ = [
    "COMMAND_NAMES",
    "NAMES",
    "OTHER_VARIABLES",
    "PREFIX",
    "Settings",
    "SettingsArgs",
    "accepted",
    "by_name",
    "describe",
    "resolve",
    "resolved",
    "spelled",
    "stray_variables",
]
