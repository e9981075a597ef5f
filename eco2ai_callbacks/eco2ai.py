"""eco2AI's interface: ``from eco2ai_callbacks import eco2ai`` in place of ``import eco2ai``."""

from __future__ import annotations

from typing import Any

from eco2ai_callbacks.eco2ai_compat.decorator import track
from eco2ai_callbacks.eco2ai_compat.devices import all_available_cpu, all_available_gpu, available_devices
from eco2ai_callbacks.eco2ai_compat.encode import decode
from eco2ai_callbacks.eco2ai_compat.errors import (
    FileDoesNotExistsError,
    IncorrectMethodSequenceError,
    IncorrectPricingDict,
    NoCountryCodeError,
    NotNeededExtensionError,
)
from eco2ai_callbacks.eco2ai_compat.params import get_params, set_params
from eco2ai_callbacks.eco2ai_compat.summary import summary
from eco2ai_callbacks.eco2ai_compat.tracker import Tracker
from eco2ai_callbacks.host.package import package_version

__all__ = [
    "FileDoesNotExistsError",
    "IncorrectMethodSequenceError",
    "IncorrectPricingDict",
    "NoCountryCodeError",
    "NotNeededExtensionError",
    "Tracker",
    "all_available_cpu",
    "all_available_gpu",
    "available_devices",
    "decode",
    "get_params",
    "set_params",
    "summary",
    "track",
]

# eco2AI offers these, and says that they are not meant for use outside of its tracker.
_METERS = ("CPU", "GPU", "RAM")


def __getattr__(name: str) -> Any:
    """Return the version of this package, as eco2AI offers its own."""
    if name == "__version__":
        return package_version()
    if name in _METERS:
        raise AttributeError(
            f"eco2ai_callbacks.eco2ai has no {name}: a Tracker measures all components, and the run log holds each."
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
