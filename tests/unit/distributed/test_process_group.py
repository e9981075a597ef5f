"""The process group that ranks exchange over."""

from __future__ import annotations

import types

from fake_torch import Torch

from eco2ai_callbacks.distributed.process_group import jax_group, torch_group


def test_a_single_process_tells_nobody() -> None:
    assert torch_group({}) is None
    assert torch_group({"torch": Torch(1)}) is None
    assert torch_group({"torch": Torch(2, initialised=False)}) is None
    assert torch_group({"torch": Torch(2, available=False)}) is None
    assert jax_group({}) is None
    assert jax_group({"jax": types.SimpleNamespace(process_count=lambda: 1)}) is None


def test_torch_s_default_group_is_used() -> None:
    group = torch_group({"torch": Torch(3)})
    assert group is not None
    assert (group.rank, group.size) == (1, 3)
    assert group.gather("told") == [(0, "told"), (1, "told"), (2, "told")]
