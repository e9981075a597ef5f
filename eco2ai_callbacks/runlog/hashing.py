"""Hashes of lines: the one that links a line to its writer's line before it, and the keyed one (HMAC)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any


def canonical(values: Mapping[str, Any]) -> str:
    """Return a record as its line in the log, without the newline; NaN and infinity raise ``ValueError``."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Characters that UTF-8 cannot hold (a file's name in another encoding) are written as JSON escapes.
    return text.encode("utf-8", "backslashreplace").decode()


def line_hash(line: str | bytes) -> str:
    """Return the SHA-256 of a line, which its writer's next line holds as ``prev``."""
    return hashlib.sha256(line.encode() if isinstance(line, str) else line).hexdigest()


def line_hmac(values: Mapping[str, Any], key: str) -> str:
    """Return the keyed hash (HMAC-SHA256) of a record, computed with ``null`` in its field ``hmac``."""
    secret = key.encode("utf-8", "surrogateescape")  # as the environment held it
    return hmac.new(secret, canonical({**values, "hmac": None}).encode(), hashlib.sha256).hexdigest()
