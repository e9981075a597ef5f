"""Read the energy of AMD GPUs by the kernel's own files: their accumulator where its unit is known, else their power."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu.amd_devices import AmdGpu, AmdPart, find
from eco2ai_callbacks.meters.gpu.amd_metrics import energy_j
from eco2ai_callbacks.meters.gpu.amd_selection import choose
from eco2ai_callbacks.meters.hwmon import Sensor, below
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.meters.sensor_meter import GPU, SensedDevice, SensorMeter
from eco2ai_callbacks.meters.tally import Source, Tally

NAME = "amdgpu"
# No GPU draws more (MI355X: 1400 W): a figure above is an error.
MOST_W = 3000.0
# No independent check of these sensors is published. The figures are this project's: as wide as NVIDIA's for sampled
# power, and twice as wide as NVIDIA's for a counter.
COUNTER_BAND, POWER_BAND = (0.90, 1.10), (0.85, 1.15)
# The power that a module's GPU shows is that of its processor and memory too (MI300A).
_MODULE, _MODULE_COVERS = "whole module (GPU, CPU and memory)", frozenset({"gpu", "cpu", "ram"})
# gfx 9.0.10: an MI250 has two dies, each of which is a GPU; the first one shows the power of both, the second none.
_TWO_DIES = 90010
_HINT = "run where the driver amdgpu shows power1_average or power1_input: on the host, not in a guest"


def open_amd(
    gpus: str | Sequence[int | str] = "auto",
    *,
    root: Path = Path("/"),
    sample_s: float = 0.5,
    environ: Mapping[str, str] = os.environ,
    used_by_framework: Sequence[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
    alone: bool = True,
) -> SensorMeter:
    """Open the AMD GPUs that the setting ``gpus`` asks for.

    Args:
        gpus: ``auto`` (those that the framework trains on, else the visible ones), ``visible`` by
            ``ROCR_VISIBLE_DEVICES`` and ``HIP_VISIBLE_DEVICES``, ``all``, indices in the order of the PCI bus, or UUIDs.
        root: The root of the file system.
        sample_s: Seconds between two reads where power is sampled.
        environ: The environment.
        used_by_framework: UUIDs of the devices that the framework trains on, where it reports them.
        clock: Monotonic seconds.
        alone: Whether the machine has no other maker's GPUs.

    Raises:
        MeterUnavailable: Where there is no such GPU, nothing is selected, or nothing can be read.
        SettingsError: Where an index or UUID is named that does not exist.

    Example:
        >>> open_amd().read()  # doctest: +SKIP
        {'gpu:GPU-4b2c1a9f8d3e6f7a': 0.0}
    """
    everything, devices = find(root)
    if not everything:
        raise MeterUnavailable("the driver amdgpu runs no GPU")
    parts, rule = choose(gpus, everything, devices, environ=environ, framework=used_by_framework, alone=alone)
    opening = _Opening(everything, clock)
    sensed = [one for part in parts if (one := opening.open(part)) is not None]
    if not sensed:
        raise MeterUnavailable(opening.refused[0], _HINT)
    return SensorMeter(NAME, sensed, rule, [f"{NAME}: {reason}" for reason in opening.refused], sample_s=sample_s)


class _Opening:
    """The sensors that were opened so far: one for each package, however many of its parts are wanted."""

    def __init__(self, everything: Sequence[AmdGpu], clock: Callable[[], float]) -> None:
        self._everything = everything
        self._clock = clock
        self._tallies: dict[AmdGpu, Tally | None] = {}
        self._given: set[str] = set()
        self.refused: list[str] = []

    def open(self, part: AmdPart) -> SensedDevice | None:
        """Return the channel of a part; ``None`` where it cannot be read, or another one has its energy."""
        gpu = self._leading(part.gpu)
        tally = self._tally(gpu)
        if gpu is not part.gpu:
            part = AmdPart(gpu)
        if tally is None or part.uuid in self._given:
            return None
        self._given.add(part.uuid)
        dies = [other.index for other in self._everything if gpu in (other, self._leading(other))]
        whole = f"package of GPUs {' and '.join(map(str, dies))}" if len(dies) > 1 else ""
        return SensedDevice(
            Device("amd", gpu.index, part.uuid, gpu.name),
            tally,
            part.share,
            part.described or (_MODULE if gpu.module else f"whole {whole}" if whole else ""),
            covers=_MODULE_COVERS if gpu.module else GPU,
        )

    def _leading(self, gpu: AmdGpu) -> AmdGpu:
        """Return the GPU that shows the power of a GPU's package."""
        if gpu.target != _TWO_DIES or not gpu.serial:
            return gpu
        return next(other for other in self._everything if (other.target, other.serial) == (gpu.target, gpu.serial))

    def _tally(self, gpu: AmdGpu) -> Tally | None:
        if gpu not in self._tallies:
            self._tallies[gpu] = self._opened(gpu)
        return self._tallies[gpu]

    def _opened(self, gpu: AmdGpu) -> Tally | None:
        label = f"GPU {gpu.index} ({gpu.name})"
        sensor = next((one for one in below(gpu.folder) if not one.energy and one.number == 1), None)
        why, power = "it shows no power", None
        if sensor is not None:
            try:
                power = Tally(NAME, label, power_source(sensor), self._clock).open()
            except (OSError, ValueError) as error:
                why = f"{sensor.path.name}: {(isinstance(error, OSError) and error.strerror) or error}"
        read = partial(energy_j, gpu.folder / "gpu_metrics", gpu.target)
        limit_w = (lambda: None) if sensor is None else sensor.limit_w
        counter = Source("amdgpu-energy", read, True, COUNTER_BAND, MOST_W, limit_w)
        try:
            return Tally(NAME, label, counter, self._clock, power).open()
        except (OSError, ValueError):
            if power is None:
                self.refused.append(f"{label}: {why}")
            return power


def power_source(sensor: Sensor) -> Source:
    """Return the power of a GPU's own chip as a source."""
    return Source("amdgpu-power", sensor.read, False, POWER_BAND, MOST_W, sensor.limit_w)
