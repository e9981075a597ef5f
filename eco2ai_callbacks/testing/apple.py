"""A stub of the library ``zeus_apple_silicon``, for counters that a test drives."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace


@dataclass
class FakeApple:
    """The counters of a chip, in joules; ``None`` where the chip has no such counter.

    Args:
        cpu: The processor's.
        gpu: The GPU's.
        gpu_sram: The GPU's memory on the chip.
        dram: The memory's.
        error: What the library says where it fails; empty where it works.

    Example:
        >>> apple = FakeApple(cpu=7.5)
        >>> apple.AppleEnergyMonitor().get_cumulative_energy().cpu_total_mj
        7500
    """

    cpu: float | None = 100.0
    gpu: float | None = 100.0
    gpu_sram: float | None = None
    dram: float | None = 100.0
    error: str = ""

    def AppleEnergyMonitor(self) -> FakeApple:  # noqa: N802 - the library's own name
        """Return what the library calls a monitor: this object."""
        return self

    def get_cumulative_energy(self) -> SimpleNamespace:
        """Return all counters."""
        if self.error:
            raise RuntimeError(self.error)
        shown = {"cpu_total_mj": self.cpu, "gpu_mj": self.gpu, "gpu_sram_mj": self.gpu_sram, "dram_mj": self.dram}
        return SimpleNamespace(**{name: None if j is None else round(j * 1000) for name, j in shown.items()})
