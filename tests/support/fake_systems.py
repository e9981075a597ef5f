"""Fakes of macOS's sysctl and of Windows' registry, which hold the processor's name."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from types import TracebackType
from typing import Any


class FakeLibc:
    """A C library with macOS's ``sysctlbyname``.

    Args:
        values: The kernel's variables: texts, or whole numbers of 32 bits.
    """

    def __init__(self, values: Mapping[str, str | int]) -> None:
        self._values = values

    def sysctlbyname(self, key: bytes, content: Any, size: Any, new: None, new_size: ctypes.c_size_t) -> int:
        """Copy a variable into the caller's buffer; return -1 where there is none or it is too long."""
        value = self._values.get(key.decode())
        if value is None or new is not None or new_size.value:
            return -1
        raw = value.to_bytes(4, "little") if isinstance(value, int) else value.encode() + b"\0"
        available: ctypes.c_size_t = size._obj
        if len(raw) > available.value:
            return -1
        ctypes.memmove(content, raw, len(raw))
        available.value = len(raw)
        return 0


class FakeWinreg:
    """The module ``winreg`` with the keys that a test gives it.

    Args:
        keys: Values by name, by key below ``HKEY_LOCAL_MACHINE``.
    """

    HKEY_LOCAL_MACHINE = "HKLM"

    def __init__(self, keys: Mapping[str, Mapping[str, Any]]) -> None:
        self._keys = keys

    def OpenKey(self, root: str, path: str) -> _FakeKey:
        """Return a key; raises ``FileNotFoundError`` where there is none."""
        if root != self.HKEY_LOCAL_MACHINE or path not in self._keys:
            raise FileNotFoundError(2, "The system cannot find the file specified")
        return _FakeKey(self._keys[path])

    def QueryValueEx(self, key: _FakeKey, name: str) -> tuple[Any, int]:
        """Return a value and its type REG_SZ; raises ``FileNotFoundError`` where there is none."""
        if name not in key.values:
            raise FileNotFoundError(2, "The system cannot find the file specified")
        return key.values[name], 1


class _FakeKey:
    """An open key of the registry."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def __enter__(self) -> _FakeKey:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        return None


def windows(name: str, vendor: str, identifier: str) -> FakeWinreg:
    """Return a registry with a processor."""
    values = {"ProcessorNameString": name, "VendorIdentifier": vendor, "Identifier": identifier}
    return FakeWinreg({r"HARDWARE\DESCRIPTION\System\CentralProcessor\0": values})
