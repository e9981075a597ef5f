"""Comparisons in tests are resampled less often: none of them is about the third digit of an interval."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.comparing import spread


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "_MOST_SAMPLES", 300)
