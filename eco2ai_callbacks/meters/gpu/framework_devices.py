"""Find the devices that a loaded framework computes on, by the framework's own name for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Domain and name of the devices whose makers call their backend of torch or platform of JAX like this (their
# documents: torch_npu, torch_mlu, torch_musa, Intel Gaudi, jax-metal, Neuron).
_KNOWN = {
    "npu": ("npu:huawei", "Huawei Ascend NPU"),
    "mlu": ("mlu:cambricon", "Cambricon MLU"),
    "musa": ("gpu:moorethreads", "Moore Threads GPU"),
    "hpu": ("hpu:intel", "Intel Gaudi (HPU)"),
    "xpu": ("gpu:intel", "Intel GPU (XPU)"),
    "tpu": ("tpu:google", "Google TPU"),
    "neuron": ("neuron:aws", "AWS Neuron"),
    "metal": ("gpu:apple", "Apple GPU (MPS)"),
    "rocm": ("gpu:amd", "AMD GPU (ROCm)"),
}
# NVIDIA's library names its own devices, and a processor is none.
_OTHERS = frozenset({"cpu", "cuda", "gpu", "interpreter"})
# What torch calls the backend of a maker that has registered none (torch: register_privateuse1_backend.h).
_UNNAMED = "privateuseone"


def framework_devices(modules: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield domain and name of the kinds of devices that loaded frameworks have begun to use.

    Nothing is imported and no device is opened: frameworks that have not begun are not asked. A kind that nobody
    knows here is named as the framework calls it.

    Args:
        modules: The loaded modules.
    """
    torch = modules.get("torch")
    backend = getattr(getattr(torch, "_C", None), "_get_privateuse1_backend_name", None)
    named = str(backend()).lower() if backend is not None else _UNNAMED
    for name in dict.fromkeys(("hpu", "xpu", named)):
        if name != _UNNAMED and _begun(getattr(torch, name, None)):
            yield _KNOWN.get(name, (f"torch:{name}", f"{name} device (torch)"))
    backends = getattr(modules.get("jax._src.xla_bridge"), "_backends", None)
    for name in sorted(str(name).lower() for name in backends) if isinstance(backends, dict) else ():
        if name not in _OTHERS:
            yield _KNOWN.get(name, (f"jax:{name}", f"{name} device (JAX)"))


def _begun(backend: Any) -> bool:
    is_initialised = getattr(backend, "is_initialized", None)
    return bool(is_initialised is not None and is_initialised())
