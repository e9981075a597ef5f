"""Ask torch, where it is loaded, for the CUDA devices that it uses, and wait for their work."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from eco2ai_callbacks.guard import is_a_signal_handlers


def synchronize(modules: Mapping[str, Any] = sys.modules) -> None:
    """Wait for the work that torch has queued on its CUDA devices, so that its energy counts before a mark.

    Do nothing where torch is not loaded or has no CUDA context in this process; never create one. An error of the
    work itself is raised by torch here, as at any other synchronisation.

    Args:
        modules: The loaded modules.
    """
    cuda = _initialised_cuda(modules)
    # Synchronising breaks the capture of a graph.
    if cuda is None or cuda.is_current_stream_capturing():
        return
    for index in _in_use(cuda):
        cuda.synchronize(index)


def used_devices(modules: Mapping[str, Any] = sys.modules) -> list[str] | None:
    """Return the UUIDs (``GPU-...``) of the CUDA devices that torch uses in this process.

    Args:
        modules: The loaded modules.

    Returns:
        ``None`` where torch is not loaded, uses none, or reports no UUIDs of NVIDIA's (before 2.5; AMD's devices).
    """
    cuda = _initialised_cuda(modules)
    return None if cuda is None or _is_hip(modules) else _uuids(cuda)


def used_hip_devices(modules: Mapping[str, Any] = sys.modules) -> list[str] | None:
    """Return the UUIDs of AMD's devices that torch uses in this process, as HIP spells them.

    Args:
        modules: The loaded modules.

    Returns:
        ``None`` where torch is not loaded or not made for AMD's devices, uses none, or reports no UUIDs.
    """
    cuda = _initialised_cuda(modules)
    return _uuids(cuda) if cuda is not None and _is_hip(modules) else None


def _is_hip(modules: Mapping[str, Any]) -> bool:
    return bool(getattr(getattr(modules["torch"], "version", None), "hip", None))


def _uuids(cuda: Any) -> list[str] | None:
    uuids = [getattr(cuda.get_device_properties(index), "uuid", None) for index in _in_use(cuda)]
    if not uuids or None in uuids:
        return None
    return [f"GPU-{str(uuid).removeprefix('GPU-')}" for uuid in uuids]


def _initialised_cuda(modules: Mapping[str, Any]) -> Any | None:
    """Return ``torch.cuda`` where this process has initialised it (a forked child has not)."""
    cuda = getattr(modules.get("torch"), "cuda", None)
    return cuda if cuda is not None and cuda.is_initialized() else None


def _in_use(cuda: Any) -> list[int]:
    """Return the numbers of the devices on which this process has or had memory.

    The others have no context, and synchronising one would create it: hundreds of megabytes on someone else's GPU.
    """
    try:
        return [index for index in range(cuda.device_count()) if cuda.max_memory_reserved(index) > 0]
    except RuntimeError as error:  # a custom allocator has no statistics
        if is_a_signal_handlers(error):
            raise
        return [int(cuda.current_device())]
