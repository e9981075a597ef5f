"""A fake of the part of ``torch`` that reports whether there is a process group."""

from __future__ import annotations

import threading
import types
from typing import Any


class Store:
    """A store of a process group, in this process, which threads may use for ranks."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}
        self._one = threading.RLock()

    def add(self, key: str, amount: int) -> int:
        with self._one:
            self.held[key] = str(int(self.held.get(key, "0")) + amount)
            return int(self.held[key])

    def set(self, key: str, value: str) -> None:
        self.held[key] = value

    def get(self, key: str) -> bytes:
        return self.held[key].encode()

    def check(self, keys: list[str]) -> bool:
        return all(key in self.held for key in keys)

    def compare_set(self, key: str, expected: str, value: str) -> bytes:
        with self._one:
            if self.held.get(key, "") == expected:
                self.held[key] = value
            return self.get(key)


class Torch:
    """A default process group of ``size`` processes, of which this is the second."""

    def __init__(self, size: int, initialised: bool = True, available: bool = True, store: Store | None = None) -> None:
        self.distributed = self
        if store is not None:
            self.distributed_c10d = types.SimpleNamespace(_get_default_store=lambda: store)
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
