"""A fake NVML whose boards are shared: by multi-instance slices, by processes, by a hypervisor; and power domains."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from eco2ai_callbacks.testing import Clock, FakeGpu, FakeNvml


@dataclasses.dataclass
class Shape:
    """What a board shows beside its energy.

    Args:
        busy: How busy each GPU instance is, in percent; empty where the board has no profiling counters.
        processes: How busy each process keeps it, in percent; ``None`` where the driver does not tell.
        mode: The virtualization mode.
        domains: The power of its scopes, in watts.
    """

    busy: dict[int, float] = dataclasses.field(default_factory=dict)
    processes: dict[int, int] | None = None
    mode: int = 0
    domains: dict[int, float] = dataclasses.field(default_factory=dict)


class ShapedNvml(FakeNvml):
    """Boards of constant power whose parts are busy as a test says.

    Args:
        clock: The clock.
        shapes: Each board with its shape.
    """

    def __init__(self, clock: Clock, *shapes: tuple[FakeGpu, Shape]) -> None:
        super().__init__(clock, *(gpu for gpu, _ in shapes))
        self.shapes = {gpu.uuid: shape for gpu, shape in shapes}
        self.samples = 0
        self.asked_since: list[int] = []
        self._now = clock
        self._until = clock()
        # Busy seconds of each instance, as the hardware counts them.
        self._busy_s: dict[tuple[str, int], float] = {}

    def work(self, seconds: float) -> None:
        """Let time pass in which all that is busy works."""
        self.keep_busy(seconds)
        self._now.advance(seconds)

    def keep_busy(self, seconds: float) -> None:
        """Let all that is busy work, for a time that the clock passes by itself."""
        for uuid, shape in self.shapes.items():
            for instance, percent in shape.busy.items():
                key = uuid, instance
                self._busy_s[key] = self._busy_s.get(key, 0.0) + seconds * percent / 100.0

    def c_nvmlGpmMetricsGet_t(self) -> SimpleNamespace:
        return SimpleNamespace(metrics=[SimpleNamespace(metricId=0, nvmlReturn=0, value=-1.0)])

    def nvmlGpmQueryDeviceSupport(self, handle: str) -> SimpleNamespace:
        self._called("nvmlGpmQueryDeviceSupport", handle)
        return SimpleNamespace(isSupportedDevice=int(bool(self.shapes[handle].busy)))

    def nvmlGpmSampleAlloc(self) -> dict[str, Any]:
        self._called("nvmlGpmSampleAlloc")
        self.samples += 1
        return {}

    def nvmlGpmSampleFree(self, sample: dict[str, Any]) -> None:
        self._called("nvmlGpmSampleFree")
        self.samples -= 1
        sample.clear()

    def nvmlGpmMigSampleGet(self, handle: str, instance: int, sample: dict[str, Any]) -> None:
        self._called("nvmlGpmMigSampleGet", handle)
        sample.update(time=self._now(), busy_s=self._busy_s.get((handle, instance), 0.0))

    def nvmlGpmMetricsGet(self, question: SimpleNamespace) -> SimpleNamespace:
        self._called("nvmlGpmMetricsGet")
        assert (question.version, question.numMetrics, question.metrics[0].metricId) == (1, 1, 2)
        before, now = question.sample1, question.sample2
        question.metrics[0].value = 100.0 * (now["busy_s"] - before["busy_s"]) / (now["time"] - before["time"])
        return question

    def nvmlDeviceGetProcessUtilization(self, handle: str, since_us: int) -> list[SimpleNamespace]:
        shown = self.shapes[handle].processes
        self._called("nvmlDeviceGetProcessUtilization", handle, able=shown is not None)
        self.asked_since.append(since_us)
        if not shown:
            raise self.NVMLError(6)  # NVML_ERROR_NOT_FOUND
        now_us = round(1e6 * self._now())
        return [SimpleNamespace(pid=pid, smUtil=percent, timeStamp=now_us) for pid, percent in shown.items()]

    def nvmlDeviceGetVirtualizationMode(self, handle: str) -> int:
        self._called("nvmlDeviceGetVirtualizationMode", handle)
        return self.shapes[handle].mode

    def nvmlDeviceGetFieldValues(self, handle: str, fields: Sequence[tuple[int, int]]) -> list[SimpleNamespace]:
        shown = self.shapes[handle].domains
        self._called("nvmlDeviceGetFieldValues", handle)
        return [
            SimpleNamespace(
                nvmlReturn=0 if (field, scope) in {(185, known) for known in shown} else 3,
                value=SimpleNamespace(uiVal=round(1000 * shown.get(scope, 0.0))),
            )
            for field, scope in fields
        ]
