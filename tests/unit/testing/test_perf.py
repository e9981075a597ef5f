"""The fake of the kernel's energy events."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest

from eco2ai_callbacks.testing import PerfTree


def test_an_event_counts_in_steps_from_its_opening_on(tmp_path: Path) -> None:
    tree = PerfTree(tmp_path)
    assert (tree.pmu / "events/energy-pkg").read_text() == "event=0x01\n"
    descriptor = tree.open(9, 1, 0)
    tree.advance("energy-pkg", 0, 0.5)
    assert struct.unpack("=Q", tree.read(descriptor)) == (2**31,)


def test_an_event_can_be_refused_and_cut(tmp_path: Path) -> None:
    tree = PerfTree(tmp_path)
    descriptor = tree.open(9, 1, 0)
    tree.cut("energy-pkg", 0)
    assert tree.read(descriptor) == b""
    tree.refuse(errno.EACCES)
    with pytest.raises(PermissionError):
        tree.open(9, 1, 0)
