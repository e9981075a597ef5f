"""Runs that are counted with factors over time, from the setting to the log."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.carbon.live import sources
from eco2ai_callbacks.carbon.live.feed import Feed
from eco2ai_callbacks.carbon.live.fetch import Reply
from eco2ai_callbacks.carbon.live.source import Request
from eco2ai_callbacks.carbon.live.sources import source
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform


def run(folder: Path, **settings: Any) -> tuple[Path, list[Record]]:
    """Train for two marks of 10 s at 1 kW each; return the log."""
    clock, log = Clock(), folder / "log.jsonl"
    platform = fake_platform(clock, FakeMeter(clock, {"cpu": 1000.0}), registry=folder / "registry")
    with Tracker(platform=platform, log_file=log, console=False, heartbeat_s=0.0, region="FR", **settings) as tracker:
        for epoch in range(2):
            clock.advance(10.0)
            tracker.end_epoch(epoch)
    return log, records(log)


def hours(folder: Path, g_per_kwh: float, *, begin: timedelta = timedelta(days=-1)) -> Path:
    """A file with one figure for each hour of two days."""
    path = folder / "hours.csv"
    first = (datetime.now().astimezone() + begin).replace(minute=0, second=0, microsecond=0)
    rows = (f"{(first + timedelta(hours=hour)).isoformat()},{g_per_kwh}\n" for hour in range(48))
    path.write_text("start,g_per_kwh\n" + "".join(rows))
    return path


@pytest.mark.parametrize("form", ["file", "function"])
def test_a_constant_factor_over_time_gives_the_co2_of_the_static_one(form: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    intensity = hours(tmp_path, 80.0) if form == "file" else lambda moment: 80.0
    log, over_time = run(tmp_path / "a", intensity=intensity, pue=1.3)
    _, static = run(tmp_path / "b", g_per_kwh=80.0, pue=1.3)
    assert [record.co2_kg for record in over_time] == pytest.approx([record.co2_kg for record in static])
    assert verify(log).whole
    facts = [record.intensity or {} for record in over_time]
    assert {fact["g_per_kwh"] for fact in facts[:1]} == {80.0}
    for fact in facts:
        assert fact["g_per_kwh"] == pytest.approx(80.0)
        assert (fact["kind"], fact["dataset"], fact["static_dataset"]) == ("unstated", "over time", "Ember 2026-04")
        assert fact["static_g_per_kwh"] == pytest.approx(41.4, abs=0.1)
        assert "static_share" not in fact
    assert not over_time[-1].failures
    schema = json.loads((files("eco2ai_callbacks") / "runlog" / "schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(log.read_text(encoding="utf-8").splitlines()[-1]), schema)


def test_where_the_file_ends_the_static_figure_counts_and_the_record_says_so(tmp_path: Path) -> None:
    log, found = run(tmp_path, intensity=hours(tmp_path, 80.0, begin=timedelta(days=-30)))
    stop = found[-1]
    epoch = next(record for record in found if record.event == "epoch")
    static = (epoch.intensity or {})["static_g_per_kwh"]
    assert epoch.co2_kg == pytest.approx((epoch.energy_kwh or 0.0) * static / 1000)
    assert (epoch.intensity or {})["static_share"] == 1.0
    assert [failure for failure in stop.failures if "has no figure at" in failure and "hours.csv" in failure]
    assert len(stop.failures) == 1
    assert verify(log).whole


def test_marginal_figures_are_refused_before_any_training(tmp_path: Path) -> None:
    path = hours(tmp_path, 80.0)
    text = path.read_text().replace("g_per_kwh\n", "g_per_kwh,kind\n").replace(",80.0", ",80.0,marginal")
    path.write_text(text)
    with pytest.raises(SettingsError, match="holds marginal figures"):
        Tracker(intensity=path)


def test_a_live_source_counts_from_when_it_has_answered_and_nobody_waits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = threading.Event()
    asked: list[str] = []
    feeds: list[Feed] = []

    def fetch(request: Request) -> Reply:
        asked.append(request.url)
        assert answers.wait(20)
        now = datetime.now().astimezone()
        row = {"from": (now - timedelta(days=1)).isoformat(), "to": (now + timedelta(days=1)).isoformat()}
        return Reply({"data": [{**row, "intensity": {"actual": 80, "forecast": None}}]})

    def feed(setting: str, region: str | None, kind: str, guard: Guard) -> Feed:
        feeds.append(Feed(source(setting, region, kind), "", guard, fetch, tmp_path / "cache"))
        return feeds[-1]

    monkeypatch.setattr(sources, "feed", feed)
    clock, log = Clock(), tmp_path / "log.jsonl"
    platform = fake_platform(clock, FakeMeter(clock, {"cpu": 1000.0}), registry=tmp_path / "registry")
    args: dict[str, Any] = {"region": "GB", "intensity": "live:carbon-intensity-gb", "heartbeat_s": 0.0}
    tracker = Tracker(platform=platform, log_file=log, console=False, **args)
    assert not asked  # a constructor opens nothing
    with tracker:
        clock.advance(10.0)
        tracker.end_epoch(0)
        answers.set()
        feeds[-1].join(20)
        clock.advance(10.0)
        tracker.end_epoch(1)
    feeds[-1].join(20)
    first, second = (record.intensity or {} for record in records(log) if record.event == "epoch")
    assert (first["static_share"], first["g_per_kwh"]) == (1.0, first["static_g_per_kwh"])
    assert "static_share" not in second
    assert (second["g_per_kwh"], second["kind"]) == (pytest.approx(80.0), "direct")
    assert second["source"] == "Carbon Intensity API, Great Britain"
    assert verify(log).whole
