"""A stub of AMD's library ``amdsmi``, for boards that a test drives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# The size of an accumulator's step in microjoules, as the library states it.
RESOLUTION_UJ = 15.259


class AmdSmiException(Exception):
    """The base of the library's errors.

    Args:
        info: What the library says.
    """

    def __init__(self, info: str) -> None:
        super().__init__(info)
        self._info = info

    def get_error_info(self) -> str:
        """Return what the library says."""
        return self._info


@dataclass
class FakeAmdGpu:
    """One board.

    Args:
        slot: Its place on the PCI bus.
        watts: The power that it shows; ``None`` where the library does not know it.
        joules: The energy that it shows; ``None`` where it has no accumulator.
    """

    slot: str
    watts: float | None = 150.0
    joules: float | None = 1000.0


@dataclass
class FakeAmdSmi:
    """The functions of ``amdsmi`` that are used here.

    Args:
        gpus: The boards, in the library's order.
        failing: Functions that raise, with what the library says.

    Example:
        >>> smi = FakeAmdSmi([FakeAmdGpu("0000:03:00.0", watts=200.0)])
        >>> smi.amdsmi_get_power_info(smi.amdsmi_get_processor_handles()[0])["average_socket_power"]
        200.0
    """

    gpus: list[FakeAmdGpu]
    failing: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    AmdSmiException: type[Exception] = AmdSmiException

    def amdsmi_init(self) -> None:
        """Start the library."""
        self._called("amdsmi_init")

    def amdsmi_get_processor_handles(self) -> list[FakeAmdGpu]:
        """Return a handle for each board."""
        self._called("amdsmi_get_processor_handles")
        return self.gpus

    def amdsmi_get_gpu_device_bdf(self, handle: FakeAmdGpu) -> str:
        """Return a board's place on the bus."""
        self._called("amdsmi_get_gpu_device_bdf")
        return handle.slot

    def amdsmi_get_energy_count(self, handle: FakeAmdGpu) -> dict[str, Any]:
        """Return a board's accumulator."""
        self._called("amdsmi_get_energy_count")
        if handle.joules is None:
            raise AmdSmiException("AMDSMI_STATUS_NOT_SUPPORTED")
        steps = round(handle.joules * 1e6 / RESOLUTION_UJ)
        return {"energy_accumulator": steps, "counter_resolution": RESOLUTION_UJ, "timestamp": 1}

    def amdsmi_get_power_info(self, handle: FakeAmdGpu) -> dict[str, Any]:
        """Return a board's power."""
        self._called("amdsmi_get_power_info")
        watts = "N/A" if handle.watts is None else handle.watts
        return {"current_socket_power": "N/A", "average_socket_power": watts, "power_limit": 300}

    def _called(self, function: str) -> None:
        self.calls.append(function)
        if function in self.failing:
            raise AmdSmiException(self.failing[function])
