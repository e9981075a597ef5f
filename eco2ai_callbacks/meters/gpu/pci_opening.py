"""Open the sensors of chosen GPUs: one for each package, however many of its parts are wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from eco2ai_callbacks.meters.gpu.pci_selection import GpuPart, PciGpu
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.meters.sensor_meter import GPU, SensedDevice
from eco2ai_callbacks.meters.tally import Source, Tally

# What a module's sensors include.
_MODULE, _MODULE_COVERS = "whole module (GPU, CPU and memory)", frozenset({"gpu", "cpu", "ram"})


class Sources(NamedTuple):
    """What a GPU can be read by, each where there is one.

    Args:
        counter: Its energy.
        power: Its power, where the counter cannot be read or stands still.
        part: What they include, where that is not the whole device.
    """

    counter: Source | None
    power: Source | None
    part: str = ""


class Opening:
    """The sensors that were opened so far.

    Args:
        vendor: The maker.
        origin: The source, as failures begin with it.
        everything: All GPUs of the maker.
        sources: Returns what a GPU can be read by.
        clock: Monotonic seconds.
        leading: Returns the GPU whose sensors include a GPU's: another one where two dies share a package.

    Attributes:
        refused: Why GPUs cannot be read, one clause for each.
    """

    def __init__(
        self,
        vendor: str,
        origin: str,
        everything: Sequence[PciGpu],
        sources: Callable[[PciGpu], Sources],
        clock: Callable[[], float],
        leading: Callable[[PciGpu], PciGpu] = lambda gpu: gpu,
    ) -> None:
        self._vendor = vendor
        self._origin = origin
        self._everything = everything
        self._sources = sources
        self._clock = clock
        self._leading = leading
        self._opened: dict[PciGpu, tuple[Tally | None, str]] = {}
        self._given: set[str] = set()
        self.refused: list[str] = []

    def open(self, parts: Sequence[GpuPart]) -> list[SensedDevice]:
        """Return the channels of the parts that can be read."""
        return [one for part in parts if (one := self._channel(part)) is not None]

    def _channel(self, part: GpuPart) -> SensedDevice | None:
        gpu = self._leading(part.gpu)
        if gpu not in self._opened:
            self._opened[gpu] = self._open(gpu)
        tally, included = self._opened[gpu]
        part = part if gpu is part.gpu else GpuPart(gpu)
        if tally is None or part.uuid in self._given:
            return None
        self._given.add(part.uuid)
        dies = [other.index for other in self._everything if gpu in (other, self._leading(other))]
        package = f"whole package of GPUs {' and '.join(map(str, dies))}" if len(dies) > 1 else ""
        return SensedDevice(
            Device(self._vendor, gpu.index, part.uuid, gpu.name),
            tally,
            part.share,
            part.described or (_MODULE if gpu.module else package or included),
            covers=_MODULE_COVERS if gpu.module else GPU,
        )

    def _open(self, gpu: PciGpu) -> tuple[Tally | None, str]:
        """Return a GPU's counter with its power to fall back on, or its power alone, and what they include."""
        label = f"GPU {gpu.index} ({gpu.name})"
        counter, power, included = self._sources(gpu)
        why, sampled = "it shows neither its energy nor its power", None
        if power is not None:
            try:
                sampled = Tally(self._origin, label, power, self._clock).open()
            except (OSError, ValueError) as error:
                why = f"its power cannot be read: {(isinstance(error, OSError) and error.strerror) or error}"
        if counter is not None:
            try:
                return Tally(self._origin, label, counter, self._clock, sampled).open(), included
            except (OSError, ValueError) as error:
                if power is None:
                    why = f"its energy cannot be read: {(isinstance(error, OSError) and error.strerror) or error}"
        if sampled is None:
            self.refused.append(f"{label}: {why}")
        return sampled, included
