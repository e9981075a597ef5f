"""A fake of the part of ``torch`` that reports whether there is a process group."""

from __future__ import annotations

from typing import Any


class Torch:
    """A default process group of ``size`` processes, of which this is the second."""

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
