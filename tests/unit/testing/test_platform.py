"""A tracker on a fake platform sees what the test gives it, and nothing of this machine."""

from __future__ import annotations

from pathlib import Path

from logcheck import rows

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.meters.discovery import Discovery, Source
from eco2ai_callbacks.testing import BARE_METAL, CLOUD_VM, Clock, FakeMeter, fake_platform


def test_its_sources_are_its_meters() -> None:
    clock = Clock()
    with Tracker(platform=fake_platform(clock, FakeMeter(clock, {"ram": 1.0})), region="FR", console=False):
        clock.advance(1)
    start, stop = rows()
    assert [(source["name"], source["used"], source["covers"]) for source in start["sources"]] == [
        ("constant", True, ["ram"])
    ]
    assert start["host"] == CLOUD_VM.hash
    assert stop["joules"] == {"ram": 1.0}


def test_all_of_it_can_be_named(tmp_path: Path) -> None:
    clock = Clock(7.0)
    source = Source("RAPL", "unavailable", "absent")
    made = fake_platform(
        clock,
        host=BARE_METAL,
        environ={"RANK": "1"},
        registry=tmp_path / "running",
        sources=[source],
        not_covered=["AMD GPU (ROCm)"],
        root=tmp_path,
    )
    assert made.clock() == 7.0
    assert made.host() is BARE_METAL
    assert (made.environ, made.registry, made.root) == ({"RANK": "1"}, tmp_path / "running", tmp_path)
    assert made.discover(None, None, None) == Discovery((), (source,), ("AMD GPU (ROCm)",))  # type: ignore[arg-type]


def test_its_environment_is_empty_where_none_is_named() -> None:
    assert fake_platform(Clock()).environ == {}


def test_another_way_to_discover_replaces_the_meters() -> None:
    nothing = Discovery((), (), ())
    clock = Clock()
    made = fake_platform(clock, FakeMeter(clock, {"cpu": 1.0}), discover=lambda *_: nothing)
    assert made.discover(None, None, None) is nothing  # type: ignore[arg-type]
