"""GPU work around a mark."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.session import gpu_work
from eco2ai_callbacks.session.gpu_work import GpuWork


@pytest.mark.parametrize("sync", [True, False])
def test_work_is_finished_where_the_setting_asks_for_it(sync: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    monkeypatch.setattr(gpu_work, "synchronize", lambda: done.append(1))
    GpuWork(Guard(), sync=sync).finish()
    assert done == [1] * sync


def test_an_error_of_the_work_is_recorded_and_goes_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(gpu_work, "synchronize", fails)
    guard = Guard()
    GpuWork(guard, sync=True).finish()
    assert guard.failures == ("CUDA: an illegal memory access was encountered (RuntimeError)",)


@pytest.mark.parametrize(
    ("measured", "used", "named"),
    [
        (["GPU-a"], ["GPU-a", "GPU-b"], ["GPU-b"]),
        (["GPU-a"], None, []),
        ([], ["GPU-b"], []),  # none is measured, or the user has named them
        (["MIG-a"], ["GPU-b"], []),  # torch names the board, not the slice
        (["GPU-jetson-1421022105432"], ["GPU-b"], []),  # nor a Jetson module by its serial number
    ],
)
def test_devices_that_came_into_use_too_late_are_named(
    measured: list[str], used: list[str] | None, named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_work, "used_devices", lambda: used)
    guard = Guard()
    GpuWork(guard, sync=True, measured=measured).name_late_devices()
    assert guard.failures == tuple(
        f"NVML: {uuid} came into use after the start; its energy is missing" for uuid in named
    )
