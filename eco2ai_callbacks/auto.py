"""An entry point of Lightning that adds the callback to every Trainer where ``ECO2AI_AUTO`` is set.

The variable is Lightning's alone: transformers, Keras and Accelerate load no plug-ins, so that nothing of this package
runs in their processes unless something imports it. Their launchers do: ``python -m eco2ai_callbacks.keras train.py``.
"""

from __future__ import annotations

import os
from typing import Any

from eco2ai_callbacks.integrations.callstack import callers

SWITCH = "ECO2AI_AUTO"


def callbacks() -> list[Any]:
    """Return our callback where ``ECO2AI_AUTO=1``, else none, at the cost of looking up a variable.

    Where the user has given the Trainer a callback of ours, none is added, and the settings of that one apply.

    Raises:
        SettingsError: An ``ECO2AI_*`` variable or a settings file has a value that is not accepted.
    """
    if os.environ.get(SWITCH, "").strip().lower() not in ("1", "true", "yes", "on"):
        return []
    from eco2ai_callbacks.lightning import Eco2AICallback

    if any(isinstance(each, Eco2AICallback) for each in _there_already()):
        return []
    ours = Eco2AICallback()
    ours.automatic = True
    return [ours]


def _there_already() -> list[Any]:
    """Return the callbacks of the Trainer that calls the entry point.

    The entry point does not receive them; the connector that collects them is among the calling frames. Lightning
    refuses two of ours in one Trainer, for their states have the same key. It would also refuse a list that the user
    gives to two Trainers, for it appends to the list itself.
    """
    for frame in callers():
        asking = frame.f_locals.get("self")
        if type(asking).__name__ == "_CallbackConnector":
            return list(getattr(getattr(asking, "trainer", None), "callbacks", None) or ())
    return []
