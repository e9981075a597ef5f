"""Hashes of lines: the one that links a line to its writer's line before it, and the keyed one (HMAC)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Hexadecimal digits of ``prev``: 128 bits. Without a key the chain shows damage and lines that were altered one by one;
# to put another line in one's place, whoever knows the log must find a second preimage, 2^128 trials at 128 bits. Who
# recomputes the whole chain needs no collision: that is what the HMAC is for, which is not shortened.
LINK_DIGITS = 32
# What a line with an HMAC ends in: the member's name, 64 digits, and the end of the object.
_SIGNED = b',"hmac":"'
_SIGNATURE = len(_SIGNED) + 64 + 2


def canonical(values: Mapping[str, Any]) -> str:
    """Return a record as its line in the log, without the newline; NaN and infinity raise ``ValueError``."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Characters that UTF-8 cannot hold (a file's name in another encoding) are written as JSON escapes.
    return text.encode("utf-8", "backslashreplace").decode()


def line_hash(line: str | bytes) -> str:
    """Return the SHA-256 of a line, whose first digits its writer's next line holds as ``prev``."""
    return hashlib.sha256(line.encode() if isinstance(line, str) else line).hexdigest()


def is_link(held: str | None, digest: str | None) -> bool:
    """Return whether a link is that to a line.

    Args:
        held: The hash that a line holds of another one; all 64 digits by schema 1.
        digest: Hash of that line; ``None`` where there is none.
    """
    if held is None or digest is None:
        return held is digest
    return held == digest[:LINK_DIGITS] or held == digest


def link_of(line: str | bytes) -> str:
    """Return what a writer's next line holds of a line as ``prev``."""
    return line_hash(line)[:LINK_DIGITS]


def signed(line: bytes, key: str) -> bytes:
    """Return a line with its HMAC, which becomes its last member."""
    return b'%s%s%s"}' % (line[:-1], _SIGNED, _hmac_of(line, key).encode())


def is_signed(line: bytes, key: str) -> bool:
    """Return whether a line ends in the HMAC of what stands before."""
    begin = len(line) - _SIGNATURE
    if begin <= 0 or not line.startswith(_SIGNED, begin):
        return False
    import hmac

    given = line[begin + len(_SIGNED) : -2]
    return hmac.compare_digest(given, _hmac_of(line[:begin] + b"}", key).encode())


def line_hmac(values: Mapping[str, Any], key: str) -> str:
    """Return the HMAC-SHA256 of a record of schema 1, computed with ``null`` in its field ``hmac``."""
    return _hmac_of(canonical({**values, "hmac": None}).encode(), key)


def _hmac_of(data: bytes, key: str) -> str:
    import hmac  # not needed without a key

    secret = key.encode("utf-8", "surrogateescape")  # as the environment held it
    return hmac.new(secret, data, hashlib.sha256).hexdigest()
