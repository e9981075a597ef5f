"""CO2e in things that people have a notion of."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.report.equivalents import equivalents


def test_each_has_its_source() -> None:
    found = equivalents(2.44)
    assert len(found) == 5
    assert found[0].amount == pytest.approx(10.0)
    for each in found:
        assert each.grams > 0
        assert each.url.startswith("https://")
        assert all((each.what, each.basis, each.source, each.licence))
    assert all(each.amount == 0 for each in equivalents(0.0))
