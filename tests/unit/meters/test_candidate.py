"""What a source is before it is opened."""

from __future__ import annotations

from pathlib import Path

from eco2ai_callbacks.meters.candidate import Candidate, MeterContext
from eco2ai_callbacks.testing import BARE_METAL


def test_a_source_may_be_anywhere_unless_it_says_where() -> None:
    context = MeterContext(BARE_METAL, None)
    assert context.root == Path("/")
    assert Candidate("Example", frozenset({"cpu"}), lambda *_: ()).present(context)
    assert not Candidate("Example", frozenset({"cpu"}), lambda *_: (), lambda _: False).present(context)
