"""Tokens of live sources: where they come from, and that no error shows them."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from eco2ai_callbacks.carbon.live.tokens import credential, token
from eco2ai_callbacks.errors import SettingsError


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """A keyring with what a test puts into it."""
    kept: dict[tuple[str, str], str] = {}
    module: Any = types.ModuleType("keyring")
    errors: Any = types.ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})

    def get_password(service: str, user: str) -> str | None:
        if ("locked", "") in kept:
            raise errors.KeyringError("locked")
        return kept.get((service, user))

    module.get_password, module.errors = get_password, errors
    monkeypatch.setitem(sys.modules, "keyring", module)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return kept


def test_a_source_without_a_token_needs_none() -> None:
    assert credential((), {}) == ""


def test_user_and_password_are_put_together() -> None:
    environ = {"SOME_USER": "me", "SOME_PASSWORD": "s3cr3t"}
    assert credential(("SOME_USER", "SOME_PASSWORD"), environ) == "me:s3cr3t"
    with pytest.raises(SettingsError, match="set the variable SOME_PASSWORD") as error:
        credential(("SOME_USER", "SOME_PASSWORD"), {"SOME_USER": "me"})
    assert "me:" not in str(error.value)


def test_the_variable_counts_before_the_keyring(keyring: dict[tuple[str, str], str]) -> None:
    keyring["eco2ai", "some_token"] = "of-the-keyring"
    assert token("SOME_TOKEN", {"SOME_TOKEN": " of-the-variable\n"}) == "of-the-variable"
    assert token("SOME_TOKEN", {}) == "of-the-keyring"


def test_a_token_that_is_nowhere_is_asked_for_by_both_names(keyring: dict[tuple[str, str], str]) -> None:
    for _ in range(2):
        with pytest.raises(SettingsError, match=r"set the variable SOME_TOKEN, .* as 'some_token' of 'eco2ai'"):
            token("SOME_TOKEN", {})
        keyring["locked", ""] = ""


def test_without_keyring_the_variable_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert token("SOME_TOKEN", {"SOME_TOKEN": "abc"}) == "abc"
    with pytest.raises(SettingsError, match="SOME_TOKEN"):
        token("SOME_TOKEN", {})


@pytest.mark.parametrize(
    "value", ["top secret", "sécret", "sec\nret", "s" * 501], ids=["space", "accent", "line", "long"]
)
def test_what_is_no_token_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(SettingsError) as error:
        token("SOME_TOKEN", {"SOME_TOKEN": value})
    assert "what SOME_TOKEN holds is no token" in str(error.value)
    assert value not in str(error.value)
    assert "cret" not in str(error.value)
