"""Whether NVIDIA's GPUs can be asked for, before anything is imported for them."""

from __future__ import annotations

import _ctypes
import ctypes
import sys
from types import ModuleType
from typing import Any

import pytest

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu.nvml_library import MODULE, NO_DRIVER, require, require_driver


@pytest.fixture(params=["CPython", "another Python"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[object, str]:
    """What loads a library: where it is, and its name there."""
    if request.param == "CPython":
        return _ctypes, "dlopen"
    monkeypatch.setitem(sys.modules, "_ctypes", None)
    return ctypes, "CDLL"


@pytest.fixture(params=[True, False], ids=["library", "no library"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, loader: tuple[object, str]) -> bool:
    """A Linux machine with the driver's library, or without, on which nothing has imported the binding."""

    def load(name: str, *_: object) -> object:
        assert name == "libnvidia-ml.so.1"
        if not request.param:
            raise OSError(f"{name}: cannot open shared object file")
        return object()

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(*loader, load)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return bool(request.param)


def refusal(*args: Any) -> str | None:
    try:
        require(*args)
    except MeterUnavailable as why:
        return why.reason if why.hint is None else f"{why.reason}: {why.hint}"
    return None


@pytest.mark.parametrize(
    ("gpus", "environ", "framework", "reason"),
    [
        ((), {}, None, "no GPU is selected"),
        ("auto", {"CUDA_VISIBLE_DEVICES": ""}, None, "no GPU is selected: CUDA_VISIBLE_DEVICES hides them all"),
        ("visible", {"CUDA_VISIBLE_DEVICES": "-1"}, None, "no GPU is selected: CUDA_VISIBLE_DEVICES hides them all"),
        ("auto", {"CUDA_VISIBLE_DEVICES": ""}, ["GPU-1"], None),
        ("all", {"CUDA_VISIBLE_DEVICES": ""}, None, None),
        ((0,), {}, None, None),
        ("auto", {}, None, None),
    ],
    ids=["none", "hidden", "hidden by number", "used by the framework", "all", "by index", "auto"],
)
def test_what_nobody_asks_for_is_named_first_and_then_the_driver(
    library: bool, gpus: Any, environ: Any, framework: Any, reason: str | None
) -> None:
    assert refusal(gpus, environ, framework) == (reason or (None if library else NO_DRIVER))
    # Who brings a binding needs no library.
    assert refusal(gpus, environ, framework, object()) == reason


def test_a_binding_that_is_imported_already_and_another_system_are_asked_themselves(
    library: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    require_driver()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setitem(sys.modules, MODULE, ModuleType(MODULE))
    require_driver()
