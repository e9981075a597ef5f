"""The settings for figures beside energy and CO2e: off by default. Their values are in test_forms.py."""

from __future__ import annotations

import dataclasses

from eco2ai_callbacks.settings import Settings, describe, resolve
from eco2ai_callbacks.settings.beside import FOUR_YEARS_H, BesideSettings


def test_none_is_on_by_default_and_each_makes_sense_for_any_command() -> None:
    found = Settings()
    names = [field.name for field in dataclasses.fields(BesideSettings)]
    on = {name: getattr(found, name) for name in names if getattr(found, name) is not None}
    assert on == {"lifetime_h": FOUR_YEARS_H, "embodied_share": 1.0, "baseline_s": 0.0}
    assert FOUR_YEARS_H == 4 * 365 * 24
    assert all(field.metadata["setting"].command for field in dataclasses.fields(BesideSettings))


def test_they_are_settings_like_the_others() -> None:
    found = resolve({"wue": 1.8}, environ={"ECO2AI_EMBODIED_KG": "1200"}, site_files=())
    assert (found.wue, found.embodied_kg) == (1.8, 1200.0)
    assert (found.origin["wue"], found.origin["embodied_kg"]) == ("argument", "ECO2AI_EMBODIED_KG")
    assert hash(found) != hash(Settings())
    assert describe("wue").startswith("Water that the data centre uses")
