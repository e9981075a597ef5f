"""The GPU work of this process around a mark: the wait for its end, and the check that its devices are measured."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.meters.gpu.torch_cuda import synchronize, used_devices
from eco2ai_callbacks.meters.meter import Meter, devices_of


class GpuWork:
    """The work on the GPUs that torch uses here: waits for it, and names GPUs that were first used after the start.

    Args:
        guard: Records failures.
        sync: Whether to wait.
        measured: UUIDs of the NVIDIA devices that are measured, where the meter chose them by itself.
    """

    def __init__(self, guard: Guard, *, sync: bool, measured: Collection[str] = ()) -> None:
        self._guard = guard
        self._sync = sync
        self._measured = frozenset(measured)

    def finish(self) -> None:
        """Wait until the work is done, so that its energy falls before the reading that follows."""
        if self._sync:
            self._guard.call("CUDA", synchronize, None)

    def name_late_devices(self) -> None:
        """Record the devices that the framework first used after the start: their energy is missing."""
        # The ids that torch gives do not distinguish a slice from its board, and are not those of a Jetson module.
        if self._measured and not any(uuid.startswith(("MIG-", "GPU-jetson-")) for uuid in self._measured):
            self._guard.call("CUDA", self._name, None)

    def _name(self) -> None:
        for uuid in sorted(set(used_devices() or ()) - self._measured):
            self._guard.record(f"NVML: {uuid} came into use after the start; its energy is missing")


def chosen_devices(gpus: str | Sequence[int | str], meters: Sequence[Meter]) -> list[str]:
    """Return the UUIDs of the NVIDIA devices that the meter chose by itself: a named choice needs no warning.

    Args:
        gpus: The setting ``gpus``.
        meters: The open meters.
    """
    devices = devices_of(meters)
    return [device.uuid for device in devices if device.vendor == "nvidia"] if gpus == "auto" else []
