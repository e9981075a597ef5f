"""The devices that frameworks compute on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from eco2ai_callbacks.meters.gpu.framework_devices import framework_devices


def torch(name: str = "privateuseone", begun: bool = True, **backends: Any) -> dict[str, Any]:
    backend = SimpleNamespace(is_initialized=lambda: begun)
    inside = SimpleNamespace(_get_privateuse1_backend_name=lambda: name)
    return {"torch": SimpleNamespace(**{"_C": inside, name: backend, **backends})}


def test_no_framework_uses_nothing() -> None:
    assert list(framework_devices({})) == []
    assert list(framework_devices({"torch": SimpleNamespace()})) == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("npu", [("npu:huawei", "Huawei Ascend NPU")]),
        ("MUSA", [("gpu:moorethreads", "Moore Threads GPU")]),
        ("newchip", [("torch:newchip", "newchip device (torch)")]),
        ("privateuseone", []),
    ],
    ids=["known", "capitals", "unknown", "unnamed"],
)
def test_torch_s_backend_of_a_maker_is_named(name: str, found: list[tuple[str, str]]) -> None:
    modules = torch(name)
    setattr(modules["torch"], name.lower(), SimpleNamespace(is_initialized=lambda: True))
    assert list(framework_devices(modules)) == found


def test_a_backend_that_has_not_begun_is_not_used() -> None:
    assert list(framework_devices(torch("npu", begun=False))) == []
    begun = SimpleNamespace(is_initialized=lambda: True)
    assert list(framework_devices(torch(hpu=begun))) == [("hpu:intel", "Intel Gaudi (HPU)")]


def test_jax_s_platforms_are_named_once_they_are_open() -> None:
    bridge = SimpleNamespace(_backends={"cpu": object(), "METAL": object(), "newchip": object(), "cuda": object()})
    assert list(framework_devices({"jax._src.xla_bridge": bridge})) == [
        ("gpu:apple", "Apple GPU (MPS)"),
        ("jax:newchip", "newchip device (JAX)"),
    ]
    assert list(framework_devices({"jax._src.xla_bridge": SimpleNamespace(_backends={})})) == []
