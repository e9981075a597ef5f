"""The hash that ties a line to the line before it from the same writer, and the keyed one."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any


def canonical(values: Mapping[str, Any]) -> str:
    """Return a record as its line in the log, without the newline; NaN and infinity are refused."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # What UTF-8 cannot hold (a file's name in another encoding) is written as JSON's escape.
    return text.encode("utf-8", "backslashreplace").decode()


def line_hash(line: str) -> str:
    """Return the hash of a line that the next line carries as ``prev``."""
    return hashlib.sha256(line.encode()).hexdigest()


def line_hmac(values: Mapping[str, Any], key: str) -> str:
    """Return the keyed hash of a record, taken with its ``hmac`` empty."""
    secret = key.encode("utf-8", "surrogateescape")  # as the environment held it
    return hmac.new(secret, canonical({**values, "hmac": None}).encode(), hashlib.sha256).hexdigest()
