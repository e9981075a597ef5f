"""The process group that ranks exchange over."""

from __future__ import annotations

import types
from typing import Any

from eco2ai_callbacks.distributed.process_group import jax_group, torch_group


class Torch:
    def __init__(self, size: int, initialised: bool = True, available: bool = True) -> None:
        self.distributed = self
        self.size, self.initialised, self.available = size, initialised, available

    def is_available(self) -> bool:
        return self.available

    def is_initialized(self) -> bool:
        return self.initialised

    def get_world_size(self) -> int:
        return self.size

    def get_rank(self) -> int:
        return 1

    def all_gather_object(self, heard: list[Any], told: Any) -> None:
        heard[:] = [(rank, told) for rank in range(self.size)]


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
