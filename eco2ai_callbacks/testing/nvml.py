"""A fake of the module ``pynvml``."""

from __future__ import annotations

# ruff: noqa: N802  the fake has the names of nvml.h
import collections
import dataclasses
import types
from collections.abc import Mapping

from eco2ai_callbacks.testing.clock import Clock


@dataclasses.dataclass
class FakeGpu:
    """A board of :class:`FakeNvml`. A changed ``watts`` or ``base_j`` holds from the last call on.

    Args:
        uuid: ``GPU-...``.
        name: The model's name.
        watts: Its power.
        base_j: Where its energy counter begins, in joules.
        counter: Whether it has an energy counter.
        power: Whether it reports its power.
        limit_w: The limit of its power; ``None`` where it reports none.
        pids: Processes that compute on it.
        mig_slices: The most MIG devices that it can hold; 0 where MIG mode is off.
        mig: Its MIG devices, by UUID: GPU instance, compute instance, compute slices.
        load: Percent of the time in which it computes and in which its memory is used; ``None``, as for each value
            below, where it does not report it.
        clock_mhz: Its clock, and the highest that it can have.
        celsius: Its temperature.
        reasons: The bits of what slows it down, as in ``nvml.h``.
        slowed: Shares of the time for which its counters of slowed-down time grow: by power, by heat.
    """

    uuid: str
    name: str = "NVIDIA A100-SXM4-80GB"
    watts: float = 100.0
    base_j: float = 1_000_000.0
    counter: bool = True
    power: bool = True
    limit_w: float | None = None
    pids: tuple[int, ...] = ()
    mig_slices: int = 0
    mig: Mapping[str, tuple[int, int, int]] = dataclasses.field(default_factory=dict)
    load: tuple[int, int] | None = None
    clock_mhz: tuple[int, int] | None = None
    celsius: int | None = None
    reasons: int | None = None
    slowed: tuple[float, float] | None = None


class FakeNvml:
    """A stand-in for the module ``pynvml``: boards of constant power, by a clock that a test moves.

    Its handles are UUIDs. ``calls`` counts the calls of each function.

    Args:
        clock: The clock by which the boards use energy.
        gpus: The boards, in NVML's order.

    Example:
        >>> from eco2ai_callbacks.meters.gpu.nvml import open_nvml
        >>> clock = Clock()
        >>> meter = open_nvml("all", clock=clock, library=FakeNvml(clock, FakeGpu("GPU-a", watts=250.0)))
        >>> clock.advance(2.0)
        >>> meter.read()
        {'gpu:GPU-a': 500.0}
        >>> meter.close()
    """

    class NVMLError(Exception):
        """An error; ``value`` is its code in ``nvml.h``."""

        def __init__(self, value: int) -> None:
            super().__init__(f"NVML error {value}")
            self.value = value

    def __init__(self, clock: Clock, *gpus: FakeGpu) -> None:
        self.gpus = gpus
        self.calls: collections.Counter[str] = collections.Counter()
        self._clock = clock
        self._faults: list[tuple[str, int, str | None, list[int]]] = []
        self._used_j = [0.0] * len(gpus)
        self._slowed_s = [[0.0, 0.0] for _ in gpus]
        self._seen = clock()
        self._open = 0

    @property
    def initialised(self) -> bool:
        """Whether it was initialised and not shut down."""
        return self._open > 0

    def fail(self, function: str, code: int, *, after: int = 0, times: int = 10**9, uuid: str | None = None) -> None:
        """Make a function fail.

        Args:
            function: Its name.
            code: The code of ``nvml.h``.
            after: Calls that still succeed.
            times: Calls that fail then.
            uuid: The only board or MIG device for which it fails.
        """
        self._faults.append((function, code, uuid, [after, times]))

    def nvmlInit(self) -> None:
        self._called("nvmlInit")
        self._open += 1

    def nvmlShutdown(self) -> None:
        self._called("nvmlShutdown")
        self._open -= 1

    def nvmlDeviceGetCount(self) -> int:
        self._called("nvmlDeviceGetCount")
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        self._called("nvmlDeviceGetHandleByIndex", self.gpus[index].uuid)
        return self.gpus[index].uuid

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self._called("nvmlDeviceGetHandleByUUID", uuid)
        return uuid

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        self._called("nvmlDeviceGetUUID", handle)
        return handle

    def nvmlDeviceGetName(self, handle: str) -> str:
        self._called("nvmlDeviceGetName", handle)
        return self._gpu(handle).name

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        gpu = self._gpu(handle)
        self._called("nvmlDeviceGetTotalEnergyConsumption", handle, able=gpu.counter)
        return round((gpu.base_j + self._used_j[self.gpus.index(gpu)]) * 1000)

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        gpu = self._gpu(handle)
        self._called("nvmlDeviceGetPowerUsage", handle, able=gpu.power)
        return round(gpu.watts * 1000)

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: str) -> int:
        limit_w = self._gpu(handle).limit_w
        self._called("nvmlDeviceGetEnforcedPowerLimit", handle, able=limit_w is not None)
        return round((limit_w or 0.0) * 1000)

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> types.SimpleNamespace:
        load = self._gpu(handle).load
        self._called("nvmlDeviceGetUtilizationRates", handle, able=load is not None)
        return types.SimpleNamespace(**dict(zip(("gpu", "memory"), load or (), strict=False)))

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:
        clock_mhz = self._gpu(handle).clock_mhz
        self._called("nvmlDeviceGetClockInfo", handle, able=clock_mhz is not None and kind == 1)  # NVML_CLOCK_SM
        return (clock_mhz or (0, 0))[0]

    def nvmlDeviceGetMaxClockInfo(self, handle: str, kind: int) -> int:
        clock_mhz = self._gpu(handle).clock_mhz
        self._called("nvmlDeviceGetMaxClockInfo", handle, able=clock_mhz is not None and kind == 1)
        return (clock_mhz or (0, 0))[1]

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:
        celsius = self._gpu(handle).celsius
        self._called("nvmlDeviceGetTemperature", handle, able=celsius is not None and sensor == 0)
        return celsius or 0

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:
        reasons = self._gpu(handle).reasons
        self._called("nvmlDeviceGetCurrentClocksEventReasons", handle, able=reasons is not None)
        return reasons or 0

    def nvmlDeviceGetViolationStatus(self, handle: str, policy: int) -> types.SimpleNamespace:
        gpu = self._gpu(handle)
        self._called("nvmlDeviceGetViolationStatus", handle, able=gpu.slowed is not None)
        return types.SimpleNamespace(violationTime=round(self._slowed_s[self.gpus.index(gpu)][policy] * 1e9))

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[types.SimpleNamespace]:
        self._called("nvmlDeviceGetComputeRunningProcesses", handle)
        return [types.SimpleNamespace(pid=pid) for pid in self._gpu(handle).pids]

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:
        self._called("nvmlDeviceGetMigMode", handle)
        return [int(self._gpu(handle).mig_slices > 0)] * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: str) -> int:
        self._called("nvmlDeviceGetMaxMigDeviceCount", handle)
        return self._gpu(handle).mig_slices

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: str, index: int) -> str:
        slices = list(self._gpu(handle).mig)
        self._called("nvmlDeviceGetMigDeviceHandleByIndex", handle)
        if index >= len(slices):
            raise self.NVMLError(6)  # NVML_ERROR_NOT_FOUND
        return slices[index]

    def nvmlDeviceGetGpuInstanceId(self, handle: str) -> int:
        self._called("nvmlDeviceGetGpuInstanceId", handle)
        return self._gpu(handle).mig[handle][0]

    def nvmlDeviceGetComputeInstanceId(self, handle: str) -> int:
        self._called("nvmlDeviceGetComputeInstanceId", handle)
        return self._gpu(handle).mig[handle][1]

    def nvmlDeviceGetAttributes(self, handle: str) -> types.SimpleNamespace:
        self._called("nvmlDeviceGetAttributes", handle)
        return types.SimpleNamespace(computeInstanceSliceCount=self._gpu(handle).mig[handle][2])

    def _gpu(self, handle: str) -> FakeGpu:
        return next(gpu for gpu in self.gpus if handle == gpu.uuid or handle in gpu.mig)

    def _called(self, function: str, handle: str | None = None, *, able: bool = True) -> None:
        self.calls[function] += 1
        passed, self._seen = self._clock() - self._seen, self._clock()
        self._used_j = [used + gpu.watts * passed for used, gpu in zip(self._used_j, self.gpus, strict=True)]
        for gpu, slowed_s in zip(self.gpus, self._slowed_s, strict=True):
            for policy, share in enumerate(gpu.slowed or ()):
                slowed_s[policy] += share * passed
        if not self._open and function != "nvmlInit":
            raise self.NVMLError(1)  # NVML_ERROR_UNINITIALIZED
        for name, code, uuid, left in self._faults:
            if name == function and uuid in (None, handle):
                if left[0] > 0:
                    left[0] -= 1
                elif left[1] > 0:
                    left[1] -= 1
                    raise self.NVMLError(code)
        if not able:
            raise self.NVMLError(3)  # NVML_ERROR_NOT_SUPPORTED
