"""Colours of charts."""

from __future__ import annotations

from typing import Any

from eco2ai_callbacks.report.theme import DARK, LIGHT, PAGE, specification


class Chart:
    """What stands in for a chart of Altair."""

    def properties(self, **values: Any) -> Chart:
        self.values = values
        return self

    def to_dict(self, validate: bool) -> dict[str, Any]:
        return {
            "data": {"values": [{"run": "c0", "title": "ink"}]},
            "mark": {"type": "line", "color": "ink"},
            "encoding": {"color": {"title": "c1", "scale": {"domain": ["c0", "c1"], "range": ["c0", "c1"]}}},
        }


def test_colours_are_replaced_and_data_are_not() -> None:
    found = specification(Chart(), 100, LIGHT)
    assert found["mark"] == {"type": "line", "color": LIGHT["ink"]}
    assert found["data"] == {"values": [{"run": "c0", "title": "ink"}]}
    assert found["encoding"]["color"]["title"] == "c1"
    assert found["encoding"]["color"]["scale"] == {"domain": ["c0", "c1"], "range": [LIGHT["c0"], LIGHT["c1"]]}


def test_a_page_has_its_own_legends() -> None:
    assert specification(Chart(), 100, PAGE)["config"]["legend"]["disable"]
    assert not specification(Chart(), 100, LIGHT, 640)["config"]["legend"]["disable"]


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_texts_and_marks_have_enough_contrast() -> None:
    for colours in (LIGHT, DARK):
        assert contrast(colours["ink"], colours["paper"]) >= 7.0
        assert contrast(colours["quiet"], colours["paper"]) >= 4.5
        for place in range(8):
            assert contrast(colours[f"c{place}"], colours["paper"]) >= 2.5, place
    assert LIGHT.keys() == DARK.keys() == PAGE.keys()
