"""Read what NVML shows beside a board's own figure: its memory, its module, and whether it is a virtual one."""

from __future__ import annotations

from typing import Any

from eco2ai_callbacks.meters.gpu import nvml_driver as driver
from eco2ai_callbacks.meters.gpu.nvml_driver import Nvml

# The mean power of the last second, and of what it is asked. (nvml.h: NVML_FI_DEV_POWER_AVERAGE, NVML_POWER_SCOPE_*) An
# H100 shows its memory's (ml-energy/zeus: zeus/device/gpu/nvidia.py), a GB200 its module's too, and the memory's as a
# mean alone (NVIDIA/k8s-test-infra, issue 676).
_AVERAGE = 185
_SCOPES = ((2, "memory"), (1, "module"))
# nvml.h: nvmlGpuVirtualizationMode_t.
_GUEST, _HOST = 2, 3
VIRTUAL_HINT = "measure on the host: the driver of a guest with a vGPU tells no power"


def domains(nvml: Nvml, handle: Any) -> tuple[tuple[str, float], ...]:
    """Return the power of a board's memory and of its module, where the driver tells them, in watts.

    The memory's is a part of the board's, and the module's contains it with the processor: neither is added to it.

    Args:
        nvml: The initialised library.
        handle: The board's handle.
    """
    values, code = driver.ask(nvml, "nvmlDeviceGetFieldValues", handle, [(_AVERAGE, scope) for scope, _ in _SCOPES])
    if code is not None or values is None:
        return ()
    found: list[tuple[str, float]] = []
    for (_, name), value in zip(_SCOPES, values, strict=False):
        power_mw = driver.available(getattr(getattr(value, "value", None), "uiVal", None))
        # 0 is what drivers show that do not know it.
        if getattr(value, "nvmlReturn", driver.UNKNOWN) == 0 and power_mw:
            found.append((name, power_mw / 1000.0))
    return tuple(found)


def is_guest(nvml: Nvml, handle: Any) -> bool:
    """Return whether a board is a part of one that a hypervisor shows to this guest (a vGPU)."""
    return driver.ask(nvml, "nvmlDeviceGetVirtualizationMode", handle)[0] == _GUEST


def virtual_note(nvml: Nvml, handle: Any) -> str:
    """Return what limits the attribution of a board that is shared by a hypervisor; empty where none does.

    Args:
        nvml: The initialised library.
        handle: The board's handle.
    """
    mode, _ = driver.ask(nvml, "nvmlDeviceGetVirtualizationMode", handle)
    return {_GUEST: "as the hypervisor shows it (vGPU)", _HOST: "with the guests that it is shared to (vGPU)"}.get(
        mode if isinstance(mode, int) else 0, ""
    )
