"""Energy and CO2 of every training epoch, beside its loss, in the logger that a framework already has.

``eco2ai_callbacks.lightning``, ``.transformers`` and ``.keras`` each provide an ``Eco2AICallback``; ``Tracker`` and
``track`` need no framework.
"""

from __future__ import annotations

import importlib
import sys

# As typing's, which takes longer to import than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from eco2ai_callbacks.report.load import load
    from eco2ai_callbacks.tracker import Tracker, track
    from eco2ai_callbacks.usage import Usage

    __version__: str

__all__ = ["Tracker", "Usage", "load", "track"]

_HOMES = {"Tracker": "tracker", "track": "tracker", "Usage": "usage", "load": "report.load"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that importing the package costs next to nothing."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name == "__version__":
        return importlib.import_module(f"{__name__}.host.package").package_version()
    if name == "Eco2AICallback":
        sentence = (
            "Eco2AICallback belongs to a framework: import it from eco2ai_callbacks.lightning, "
            "eco2ai_callbacks.transformers or eco2ai_callbacks.keras."
        )
        # An import would replace the text of an AttributeError; an attribute lookup must raise one.
        importing = sys._getframe(1).f_globals.get("__name__") == "importlib._bootstrap"
        raise (ImportError if importing else AttributeError)(sentence)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
