"""The examples in the docstrings of the fakes."""

from __future__ import annotations

import doctest
import importlib

import pytest

NAMES = ["testing", *(f"testing.{name}" for name in ("clock", "meters", "nvml", "platform", "powercap"))]


@pytest.mark.parametrize("name", NAMES)
def test_they_hold(name: str) -> None:
    done = doctest.testmod(importlib.import_module(f"eco2ai_callbacks.{name}"))
    assert done.failed == 0
    assert done.attempted > 0
