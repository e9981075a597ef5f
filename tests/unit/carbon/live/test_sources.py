"""The live sources, by their names in the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from eco2ai_callbacks.carbon.live import cache, sources
from eco2ai_callbacks.carbon.live.sources import NAMES, feed, source
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.guard import Guard

PLACES = {
    **{"carbon-intensity-gb": "GB", "eco2mix": "FR", "electricitymaps": "FR", "energidataservice": "DK1"},
    **{"energy-charts": "DE", "entsoe": "FR"},
}
# Their names in the setting; one has zones of its own.
SETTINGS = {name: f"live:{name}{':CAISO_NORTH' if name == 'watttime' else ''}" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_each_source_is_known_by_its_name(name: str) -> None:
    found = source(SETTINGS[name], PLACES.get(name), "best")
    assert found.key.startswith(name)
    assert found.kind in ("lifecycle", "direct", "average", "marginal")
    assert 900 <= found.refresh_s <= 3600
    assert found.requests(1e9, "abc", forecast=False)
    assert found.requests(1e9, "abc", forecast=True)


def test_another_name_and_a_place_that_is_not_set_are_refused() -> None:
    with pytest.raises(SettingsError, match="'live:sun' is no live source; accepted are 'live:carbon-intensity-gb', "):
        source("live:sun", "FR", "best")
    with pytest.raises(SettingsError, match="'live:eco2mix:FR' is no live source"):
        source("live:eco2mix:FR", "FR", "best")
    with pytest.raises(SettingsError, match="set region="):
        source("live:electricitymaps", None, "best")


def test_a_feed_needs_the_extra_and_a_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing() -> None:
        raise SettingsError("the extra")

    monkeypatch.setattr(sources, "check_extra", missing)
    with pytest.raises(SettingsError, match="the extra"):
        feed("live:carbon-intensity-gb", "GB", "best", Guard())
    monkeypatch.setattr(sources, "check_extra", lambda: None)
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    monkeypatch.delenv("ELECTRICITYMAPS_TOKEN", raising=False)
    with pytest.raises(SettingsError, match="set the variable ELECTRICITYMAPS_TOKEN"):
        feed("live:electricitymaps", "FR", "best", Guard())
    found = feed("live:carbon-intensity-gb", "GB", "best", Guard())
    assert (found.source, found.kind) == ("Carbon Intensity API, Great Britain", "direct")
