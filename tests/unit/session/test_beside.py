"""A session's figures beside energy and CO2e, as its records hold them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from calibrations import MACHINE, WALL_ENTRY, write

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.calibration import lookup, machine
from eco2ai_callbacks.calibration.store import read, user_file
from eco2ai_callbacks.carbon.beside import Beside
from eco2ai_callbacks.meters.discovery import discover
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.models import compared
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.session import beside as module
from eco2ai_callbacks.session.beside import BesideFigures
from eco2ai_callbacks.testing import BARE_METAL, Clock, FakeMeter, PowercapTree, fake_platform
from eco2ai_callbacks.usage import Method, Usage

SCHEMA = json.loads((files("eco2ai_callbacks") / "runlog" / "schema.json").read_text(encoding="utf-8"))
CHECK = {"method": "cpu-model:bare", "counter_j": 9.0, "model_j": 10.0, "seconds": 5.0, "busy_s": 3.0, "threads": 12}


class Checked(FakeMeter):
    """A meter with counters and a model beside them."""

    model_check: Mapping[str, Any] | None = CHECK


def run(tmp_path: Path, meter: type[FakeMeter] = FakeMeter, **settings: Any) -> list[Record]:
    """Two epochs of an hour at 1 kW, and half an hour that a heartbeat ends."""
    clock = Clock()
    method = Method("rapl", 0.95, 1.05, counter=True)
    platform = fake_platform(clock, meter(clock, {"cpu": 1000.0}, method=method), host=BARE_METAL)
    log = tmp_path / "log.jsonl"
    tracker = Tracker(platform=platform, region="FR", log_file=log, console=False, **settings).start()
    for _ in range(2):
        clock.advance(3600.0)
        tracker.end_epoch(samples=100)
    clock.advance(1800.0)
    tracker.stop()
    assert verify(log).whole
    for line in log.read_text().splitlines():
        jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(line))
    return records(log)


def test_without_a_setting_records_hold_none_of_it(tmp_path: Path) -> None:
    assert all((r.beside, r.basis, r.sci, r.model_check) == ({}, None, None, None) for r in run(tmp_path))
    text = (tmp_path / "log.jsonl").read_text()
    assert not any(name in text for name in ("beside", "basis", "sci", "model_check"))


def test_each_record_holds_its_own_part_and_the_factors_stand_once(tmp_path: Path) -> None:
    given = {"wue": 1.8, "embodied_kg": 3504, "market_intensity": 10, "market_label": "wind", "pue": 1.5}
    found = run(tmp_path, **given)
    assert [r.beside for r in found] == [
        {},
        *([{"water_on_site_l": 1.8, "market_co2_kg": 0.015, "embodied_co2_kg": pytest.approx(0.1)}] * 2),
        {"water_on_site_l": 0.9, "market_co2_kg": 0.0075, "embodied_co2_kg": pytest.approx(0.05)},
    ]
    assert all(r.basis is not None and r.basis["market_label"] == "wind" for r in found)
    assert (tmp_path / "log.jsonl").read_text().count("market_label") == 1
    # The location-based figure is what it is without them.
    (tmp_path / "plain").mkdir()
    plain = run(tmp_path / "plain", pue=1.5)
    assert [r.co2_kg for r in found] == [r.co2_kg for r in plain]
    assert [r.energy_kwh for r in found] == [r.energy_kwh for r in plain]


@pytest.mark.parametrize(
    ("unit", "units"), [("run", 1.0), ("epoch", 2), ("sample", 200.0)], ids=["run", "epoch", "sample"]
)
def test_the_score_stands_in_the_last_record(unit: str, units: float, tmp_path: Path) -> None:
    *earlier, stop = run(tmp_path, sci_unit=unit, embodied_kg=3504, g_per_kwh=100)
    assert all(r.sci is None for r in earlier)
    assert stop.sci == {
        "g_per_unit": pytest.approx(500.0 / units),  # 2.5 kWh x 100 g, and 0.25 kg of making
        "unit": unit,
        "units": units,
        "operational_kg": pytest.approx(0.25),
        "embodied_kg": pytest.approx(0.25),
    }


def test_units_that_nobody_counted_have_no_score(tmp_path: Path) -> None:
    assert run(tmp_path, sci_unit="token")[-1].sci is None


def test_the_last_record_tells_what_the_model_would_have_said(tmp_path: Path) -> None:
    *earlier, stop = run(tmp_path, Checked)
    assert all(r.model_check is None for r in earlier)
    assert stop.model_check == {"cpu": BARE_METAL.cpu_name, **CHECK}


def test_a_run_on_a_machine_with_counters_is_evidence_for_its_model(tmp_path: Path) -> None:
    tree, clock = PowercapTree(tmp_path), Clock(1000.0)
    zone = tree.add_package(0, max_power_w=65)
    platform = fake_platform(clock, host=BARE_METAL, discover=discover)
    log = tmp_path / "log.jsonl"
    given: dict[str, Any] = {"powercap_root": tree.root, "gpus": "none", "ram_w_per_gib": 0.0, "region": "FR"}
    tracker = Tracker(platform=platform, log_file=log, console=False, **given).start()
    for _ in range(4):
        clock.advance(10.0)
        tree.advance(zone, 300.0)
        tracker.mark()
    tracker.stop()
    check = records(log)[-1].model_check
    assert check is not None
    assert (check["cpu"], check["method"], check["threads"]) == (BARE_METAL.cpu_name, "cpu-model:bare", 12)
    assert (check["counter_j"], check["seconds"]) == (pytest.approx(1200.0), pytest.approx(40.0))
    # An i7-8700 has 65 W: the curve gives a tenth of that to an idle machine, and never more than 0.74 of it.
    assert 6.5 * 40 <= check["model_j"] <= 0.75 * 65 * 40
    (row,) = compared(load(log))
    assert row.sessions == 1


class TestWall:
    @pytest.fixture(autouse=True)
    def _calibrated(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = write(user_file(tmp_path), WALL_ENTRY)
        monkeypatch.setattr(lookup, "read", lambda _: read([store]))
        monkeypatch.setattr(module, "default_files", lambda: (store,))
        monkeypatch.setattr(machine, "read_machine", lambda host: dataclasses.replace(MACHINE, cpu=host.cpu_name))

    def test_a_whole_machine_has_its_energy_at_the_wall_beside_that_of_its_components(self, tmp_path: Path) -> None:
        found = run(tmp_path, scope="machine")
        # 50 W + 1.1 x 1000 W
        assert [r.beside.get("wall_kwh") for r in found] == [None, *[pytest.approx(1.15)] * 2, pytest.approx(0.575)]
        assert [r.energy_kwh for r in found] == [None, 1.0, 1.0, 0.5]
        assert all(r.basis is not None and r.basis["wall"]["base_w"] == 50.0 for r in found)

    def test_a_part_of_it_has_none(self, tmp_path: Path) -> None:
        assert all(not r.beside for r in run(tmp_path))


def test_usage_that_nobody_measured_has_no_figure_and_no_score() -> None:
    figures = BesideFigures(Beside(wue=1.0), sci_unit="run")
    assert figures.fields("stage", Usage(seconds=2.0), {}) == {}
    assert figures.fields("stop", Usage(), {})["sci"]["operational_kg"] == 0.0
