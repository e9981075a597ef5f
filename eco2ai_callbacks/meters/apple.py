"""Read the energy of Apple's chips by their own reckoning (IOReport), through a library that needs no rights."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.meters.sensor_meter import SensedDevice, SensorMeter
from eco2ai_callbacks.meters.tally import Source, Tally

NAME, MODULE, PACKAGE = "IOReport", "zeus_apple_silicon", "zeus-apple-silicon"
# What the import ends with where the library does not fit this system.
_ERRORS = (ImportError, OSError, AttributeError, RuntimeError)
# Apple's manual calls the figures estimates (powermetrics(1): "may be inaccurate"), and states no error: this
# project's figure.
_BAND = (0.8, 1.2)
# More than any of these chips draws (M3 Ultra: 480 W for the whole computer).
_MOST_W = 1000.0
# The counters' steps are 1 mJ; the chip brings them up to date within a fraction of a second.
_STEP_S = 0.1
# The library's names of what they count. A chip that has no such counter says None.
_GPU, _CPU, _RAM = ("gpu_mj", "gpu_sram_mj"), ("cpu_total_mj",), ("dram_mj",)


class AppleEnergy:
    """The library's counters.

    Args:
        library: ``zeus_apple_silicon``, or a replacement in tests.

    Raises:
        MeterUnavailable: Where it is not installed or does not work.
    """

    def __init__(self, library: Any = None) -> None:
        try:
            self._monitor = (library or importlib.import_module(MODULE)).AppleEnergyMonitor()
        except _ERRORS as error:
            if isinstance(error, ModuleNotFoundError):
                raise MeterUnavailable(f"the package {PACKAGE} is not installed", f"pip install {PACKAGE}") from None
            raise MeterUnavailable(f"the package {PACKAGE} does not work here: {error}") from None

    def cpu(self, clock: Callable[[], float]) -> Tally:
        """Open the processor's counter; raises ``MeterUnavailable`` where there is none."""
        return self._opened("CPU", _CPU, clock)

    def ram(self, clock: Callable[[], float]) -> Tally:
        """Open the memory's counter; raises ``MeterUnavailable`` where there is none."""
        return self._opened("memory", _RAM, clock)

    def gpu(self, name: str, sample_s: float, clock: Callable[[], float]) -> SensorMeter:
        """Open the GPU's counter; raises ``MeterUnavailable`` where there is none.

        Args:
            name: The chip's name.
            sample_s: Seconds between two reads of power, of which there is none here.
            clock: Monotonic seconds.
        """
        sensed = SensedDevice(Device("apple", 0, "GPU-apple", name), self._opened("GPU", _GPU, clock))
        return SensorMeter(NAME, [sensed], "all", sample_s=sample_s, gap_s=math.inf)

    def _opened(self, label: str, fields: tuple[str, ...], clock: Callable[[], float]) -> Tally:
        source = Source(
            "ioreport",
            partial(self._joules, fields),
            True,
            _BAND,
            _MOST_W,
            step_s=_STEP_S,
            estimate=True,
            rests=True,
        )
        try:
            return Tally(NAME, label, source, clock).open()
        except (OSError, ValueError) as error:
            why = (isinstance(error, OSError) and error.strerror) or str(error)
            raise MeterUnavailable(f"unreadable: {label}: {why}") from None

    def _joules(self, fields: tuple[str, ...]) -> float:
        try:
            energy = self._monitor.get_cumulative_energy()
        except RuntimeError as error:
            raise OSError(None, str(error)) from None
        values = [getattr(energy, field, None) for field in fields]
        if not isinstance(values[0], int):
            raise ValueError("the chip has no counter of it")
        return sum(value for value in values if isinstance(value, int)) / 1000.0
