"""Tokens of live sources: from a variable or the keyring, never from a file, and never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from eco2ai_callbacks.errors import SettingsError

SERVICE = "eco2ai"


def token(name: str, environ: Mapping[str, str] | None = None) -> str:
    """Return a source's token.

    Args:
        name: The variable; in lower case it is the user's name in the keyring, for the service ``eco2ai``.
        environ: The environment; this process's by default.

    Raises:
        SettingsError: There is none, or it holds what no token has. The text does not hold it.
    """
    found = (os.environ if environ is None else environ).get(name) or _from_keyring(name)
    if not found:
        raise SettingsError(
            f"this source of carbon intensity needs a token: set the variable {name}, or keep it in the keyring as "
            f"{name.lower()!r} of {SERVICE!r}"
        )
    # HTTP libraries repeat a header that they refuse in their error.
    if not re.fullmatch(r"[!-~]{1,500}", found.strip()):
        raise SettingsError(f"what {name} holds is no token; accepted are printable ASCII characters without spaces")
    return found.strip()


def credential(names: Sequence[str], environ: Mapping[str, str] | None = None) -> str:
    """Return what a source needs: its token, or user and password with ``:`` between them; empty where it needs none.

    Args:
        names: The variables.
        environ: The environment; this process's by default.

    Raises:
        SettingsError: One of them is missing, or holds what no token has.
    """
    return ":".join(token(name, environ) for name in names)


def _from_keyring(name: str) -> str:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return ""
    try:
        return keyring.get_password(SERVICE, name.lower()) or ""
    except KeyringError:  # locked, or there is none
        return ""
