"""Read the energy of AMD GPUs through AMD's library (``amdsmi``), where it is installed and works."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu.amd import COUNTER_BAND, MOST_W, POWER_BAND
from eco2ai_callbacks.meters.gpu.pci_opening import Sources
from eco2ai_callbacks.meters.gpu.pci_selection import PciGpu
from eco2ai_callbacks.meters.tally import Source

NAME, MODULE = "AMD SMI", "amdsmi"
# What the import and the start of the library end with where the library itself or the driver is missing: its binding
# looks for the shared library at import.
_ERRORS = (ImportError, OSError, KeyError, AttributeError, TypeError, ValueError, RuntimeError, SyntaxError)
# The library's names of a GPU's power, the mean first; a GPU has one of them (amdsmi: amdsmi_get_power_info).
_POWER = ("average_socket_power", "current_socket_power", "socket_power")
# How the firmware's tables write what they do not know, in the widths of their fields.
_UNKNOWN = frozenset({2**16 - 1, 2**32 - 1, 2**64 - 1})


def installed() -> bool:
    """Return whether the binding can be found, without importing it."""
    return MODULE in sys.modules or importlib.util.find_spec(MODULE) is not None


def load(library: Any = None) -> Callable[[PciGpu], Sources]:
    """Start the library and return what tells the sources of a GPU.

    The library is not shut down again: it does not count its users, and a framework may be one.

    Args:
        library: ``amdsmi``, or a replacement in tests.

    Raises:
        MeterUnavailable: Where it is not installed or does not work.
    """
    if library is None:
        if not installed():
            raise MeterUnavailable(f"the package {MODULE} is not installed", wanted=False)
        try:
            library = importlib.import_module(MODULE)
        except _ERRORS as error:
            raise MeterUnavailable(
                f"the module {MODULE} cannot be imported: {error} ({type(error).__name__})"
            ) from None
    smi = _Library(library)
    try:
        smi.call("amdsmi_init")
        handles = smi.handles()
    except (OSError, ValueError) as error:
        raise MeterUnavailable(
            f"the library does not work: {(isinstance(error, OSError) and error.strerror) or error}"
        ) from None
    return lambda gpu: smi.sources(handles.get(gpu.slot))


class _Library:
    """The library, whose errors are turned into those that sensors have."""

    def __init__(self, library: Any) -> None:
        self._library = library
        failure = getattr(library, "AmdSmiException", None)
        self._failures = (*((failure,) if isinstance(failure, type) else ()), AttributeError, KeyError, TypeError)

    def call(self, function: str, *arguments: Any) -> Any:
        try:
            return getattr(self._library, function)(*arguments)
        except self._failures as error:
            told = getattr(error, "get_error_info", None)
            what = error if told is None else told()
            raise OSError(None, f"{function}: {' '.join(str(what).split())}") from None

    def handles(self) -> dict[str, Any]:
        """Return the handle of each GPU by its place on the bus; a partitioned GPU's first one."""
        found: dict[str, Any] = {}
        for handle in self.call("amdsmi_get_processor_handles"):
            slot = str(self.call("amdsmi_get_gpu_device_bdf", handle)).lower()
            found.setdefault(slot, handle)
        return found

    def sources(self, handle: Any) -> Sources:
        if handle is None:
            return Sources(None, None)
        return Sources(
            Source("amdsmi-energy", partial(self._energy_j, handle), True, COUNTER_BAND, MOST_W),
            Source("amdsmi-power", partial(self._power_w, handle), False, POWER_BAND, MOST_W),
        )

    def _energy_j(self, handle: Any) -> float:
        """Return the accumulator in joules: its steps times their size, which the library states in microjoules."""
        answer = self.call("amdsmi_get_energy_count", handle)
        # ROCm 6.0 and before call the steps `power`.
        steps = _number(answer, "energy_accumulator", "power")
        return steps * _number(answer, "counter_resolution") / 1e6

    def _power_w(self, handle: Any) -> float:
        return _number(self.call("amdsmi_get_power_info", handle), *_POWER)


def _number(answer: Any, *names: str) -> float:
    """Return the first of these fields that is a number above 0; what is not known is ``N/A``, 0 or all ones."""
    for name in names:
        value = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            continue
        if value > 0 and value not in _UNKNOWN:
            return float(value)
    raise ValueError(f"{' and '.join(names)} are not known to the library")
