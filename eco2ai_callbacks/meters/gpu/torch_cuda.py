"""What torch, where it is loaded already, says of its CUDA devices: which they are, and when their work is done."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


def synchronize(modules: Mapping[str, Any] = sys.modules) -> None:
    """Wait until the work that torch has given to its CUDA devices is done, so that its energy falls before a mark.

    Does nothing where torch is not loaded or has no CUDA context in this process, and never creates one. An error of
    the work itself is raised by torch here, as at any other synchronisation.

    Args:
        modules: The loaded modules.
    """
    cuda = _initialised_cuda(modules)
    # A graph that is being captured would be spoilt.
    if cuda is None or cuda.is_current_stream_capturing():
        return
    for index in _in_use(cuda):
        cuda.synchronize(index)


def used_devices(modules: Mapping[str, Any] = sys.modules) -> list[str] | None:
    """UUIDs (``GPU-...``) of the CUDA devices that torch uses in this process.

    Args:
        modules: The loaded modules.

    Returns:
        ``None`` where torch is not loaded, uses none, or does not know their UUIDs (before 2.5; AMD's devices).
    """
    cuda = _initialised_cuda(modules)
    if cuda is None or getattr(getattr(modules["torch"], "version", None), "hip", None):
        return None
    uuids = [getattr(cuda.get_device_properties(index), "uuid", None) for index in _in_use(cuda)]
    if not uuids or None in uuids:
        return None
    return [f"GPU-{str(uuid).removeprefix('GPU-')}" for uuid in uuids]


def _initialised_cuda(modules: Mapping[str, Any]) -> Any | None:
    """``torch.cuda``, where this process has initialised it (a forked child has not)."""
    cuda = getattr(modules.get("torch"), "cuda", None)
    return cuda if cuda is not None and cuda.is_initialized() else None


def _in_use(cuda: Any) -> list[int]:
    """Numbers of the devices on which this process has or had memory.

    The others have no context, and synchronising one would make it: hundreds of megabytes on a GPU of someone else.
    """
    try:
        return [index for index in range(cuda.device_count()) if cuda.max_memory_reserved(index) > 0]
    except RuntimeError:  # an allocator of the user's own keeps no statistics
        return [int(cuda.current_device())]
