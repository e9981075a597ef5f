"""CUDA work is finished on the devices that are in use, and torch is only asked where it is loaded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from eco2ai_callbacks.meters.gpu.torch_cuda import synchronize, used_devices, used_hip_devices


class Cuda:
    """``torch.cuda`` with a number of devices, on some of which this process has memory."""

    def __init__(self, reserved: dict[int, int], *, initialised: bool = True, capturing: bool = False) -> None:
        self.reserved = reserved
        self.initialised = initialised
        self.capturing = capturing
        self.uuids: dict[int, str] = {0: "8932f937-d72c", 1: "8e8d35e3-a134", 2: "e429a63e-c61c"}
        self.synchronised: list[int] = []

    def is_initialized(self) -> bool:
        return self.initialised

    def is_current_stream_capturing(self) -> bool:
        return self.capturing

    def device_count(self) -> int:
        return 3

    def current_device(self) -> int:
        return 1

    def max_memory_reserved(self, index: int) -> int:
        return self.reserved.get(index, 0)

    def get_device_properties(self, index: int) -> Any:
        return SimpleNamespace(uuid=self.uuids[index]) if self.uuids else SimpleNamespace()

    def synchronize(self, index: int) -> None:
        self.synchronised.append(index)


class OwnAllocator(Cuda):
    def max_memory_reserved(self, index: int) -> int:
        raise RuntimeError("CUDAPluggableAllocator does not yet support getDeviceStats")


def loaded(cuda: Any, hip: str | None = None) -> dict[str, Any]:
    return {"torch": SimpleNamespace(cuda=cuda, version=SimpleNamespace(hip=hip))}


def test_every_device_in_use_is_synchronised_and_no_other() -> None:
    cuda = Cuda({0: 2**20, 2: 2**21})
    synchronize(loaded(cuda))
    assert cuda.synchronised == [0, 2]
    assert used_devices(loaded(cuda)) == ["GPU-8932f937-d72c", "GPU-e429a63e-c61c"]


@pytest.mark.parametrize("cuda", [Cuda({0: 1}, initialised=False), Cuda({})], ids=["not initialised", "unused"])
def test_no_context_is_made(cuda: Cuda) -> None:
    synchronize(loaded(cuda))
    assert cuda.synchronised == []
    assert used_devices(loaded(cuda)) is None


def test_nothing_happens_without_torch() -> None:
    synchronize({})
    assert used_devices({}) is None
    assert used_devices({"torch": SimpleNamespace()}) is None


def test_a_graph_that_is_being_captured_is_not_spoilt() -> None:
    cuda = Cuda({0: 1}, capturing=True)
    synchronize(loaded(cuda))
    assert cuda.synchronised == []


def test_an_allocator_without_statistics_leaves_the_current_device() -> None:
    cuda = OwnAllocator({})
    synchronize(loaded(cuda))
    assert cuda.synchronised == [1]
    assert used_devices(loaded(cuda)) == ["GPU-8e8d35e3-a134"]


def test_devices_without_uuids_are_not_named() -> None:
    cuda = Cuda({0: 1})
    assert used_devices(loaded(cuda, hip="6.2")) is None
    cuda.uuids = {}
    assert used_devices(loaded(cuda)) is None


def test_amd_s_devices_are_named_apart() -> None:
    cuda = Cuda({0: 1})
    assert used_hip_devices(loaded(cuda, hip="6.2")) == ["GPU-8932f937-d72c"]
    assert used_hip_devices(loaded(cuda)) is None
    assert used_hip_devices({}) is None
    assert used_hip_devices(loaded(Cuda({}), hip="6.2")) is None


def test_an_error_of_the_work_is_raised() -> None:
    class Broken(Cuda):
        def synchronize(self, index: int) -> None:
            raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="device-side assert"):
        synchronize(loaded(Broken({0: 1})))
