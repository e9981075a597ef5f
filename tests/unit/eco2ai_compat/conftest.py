"""A fake of cryptography and one of pandas, which the tests without frameworks do without."""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform


class InvalidToken(Exception):
    pass


class Fernet:
    """Hides nothing, and refuses what another key has written."""

    def __init__(self, key: bytes | str) -> None:
        self._key = key.encode() if isinstance(key, str) else key
        if len(base64.urlsafe_b64decode(self._key)) != 32:
            raise ValueError("Fernet key must be 32 url-safe base64-encoded bytes.")

    @staticmethod
    def generate_key() -> bytes:
        return base64.urlsafe_b64encode(b"k" * 32)

    def encrypt(self, data: bytes) -> bytes:
        return base64.urlsafe_b64encode(b"\x80\0\0\0\0" + self._mark(data) + data)

    def decrypt(self, token: bytes) -> bytes:
        try:
            data = base64.urlsafe_b64decode(token)[5:]
        except ValueError:
            raise InvalidToken from None
        if data[:32] != self._mark(data[32:]):
            raise InvalidToken
        return data[32:]

    def _mark(self, data: bytes) -> bytes:
        return hashlib.sha256(self._key + data).digest()


class DataFrame:
    """Keeps what it is given."""

    def __init__(self, data: list[list[Any]], columns: list[str]) -> None:
        self.data = data
        self.columns = columns
        self.written: list[str] = []

    def to_csv(self, name: str) -> None:
        self.written.append(name)


@pytest.fixture
def fernet(monkeypatch: pytest.MonkeyPatch) -> type[Fernet]:
    module = ModuleType("cryptography.fernet")
    vars(module).update(Fernet=Fernet, InvalidToken=InvalidToken)
    monkeypatch.setitem(sys.modules, "cryptography", ModuleType("cryptography"))
    monkeypatch.setitem(sys.modules, "cryptography.fernet", module)
    return Fernet


@pytest.fixture
def no_fernet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)


@pytest.fixture
def pandas(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("pandas")
    vars(module).update(DataFrame=DataFrame)
    monkeypatch.setitem(sys.modules, "pandas", module)
    return module


@pytest.fixture
def no_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def machine(clock: Clock) -> Iterator[Any]:
    """A platform whose processor uses a kilowatt."""
    return fake_platform(clock, FakeMeter(clock, {"cpu": 1000.0}))
