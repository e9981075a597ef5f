"""Where records go beside the run log."""

from __future__ import annotations

from typing import Protocol

from eco2ai_callbacks.record import Record


class Sink(Protocol):
    """Takes records; may raise, for the publisher contains it."""

    @property
    def name(self) -> str:
        """What failures are named after."""

    def write(self, record: Record) -> None:
        """Take a record."""
