"""Whether NVIDIA's GPUs can be asked for at all, before what reads them is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu.selection import hides_all

# The module of NVIDIA's binding.
MODULE = "pynvml"
NO_DRIVER = "no NVIDIA driver"


def require(
    gpus: str | Sequence[int | str], environ: Mapping[str, str], framework: Sequence[str] | None, library: object = None
) -> None:
    """Return where a GPU is asked for, and a driver may be there.

    Args:
        gpus: The setting ``gpus``.
        environ: The environment, for ``CUDA_VISIBLE_DEVICES``.
        framework: UUIDs of the devices that the framework trains on, where it reports them.
        library: ``pynvml`` or a replacement, where the caller has it.

    Raises:
        MeterUnavailable: No GPU is selected, or there is no driver.
    """
    if not gpus:
        raise MeterUnavailable("no GPU is selected")
    if gpus in ("auto", "visible") and not framework and hides_all(environ):
        raise MeterUnavailable("no GPU is selected: CUDA_VISIBLE_DEVICES hides them all")
    if library is None:
        require_driver()


def require_driver() -> None:
    """Return where the driver's library may be loaded.

    Raises:
        MeterUnavailable: There is none.
    """
    # Without the library the binding is not needed, and its import takes longer than all else at a start.
    if sys.platform == "linux" and MODULE not in sys.modules and not _is_there():
        raise MeterUnavailable(NO_DRIVER)


def _is_there() -> bool:
    """Return whether the driver's library can be loaded, by the name by which the binding does so."""
    try:
        _load("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


def _load(library: str) -> None:
    """Load a library as ctypes does; the rest of ctypes takes longer to import than most of a start."""
    try:
        from _ctypes import dlopen
    except ImportError:  # another make of Python
        import ctypes

        ctypes.CDLL(library)
    else:
        dlopen(library, os.RTLD_NOW)
