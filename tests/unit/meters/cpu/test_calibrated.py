from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from calibrations import CPU_ENTRY, CPU_FIT, MACHINE, FakeMachine, write

from eco2ai_callbacks.calibration.store import user_file
from eco2ai_callbacks.meters.cpu.calibrated import CalibratedModel, choice_for
from eco2ai_callbacks.meters.meter import LoadCurve
from eco2ai_callbacks.testing import BARE_METAL


def test_active_and_idle_joules_follow_the_fit() -> None:
    model = CalibratedModel(CPU_ENTRY)
    assert model.interval(0.0, 5.0) == (0.0, pytest.approx(50.0))
    assert model.interval(30.0, 5.0) == (pytest.approx(240.0), pytest.approx(50.0))
    assert model.interval(60.0, 5.0) == (pytest.approx(330.0), pytest.approx(50.0))
    assert model.interval(999.0, 5.0) == model.interval(60.0, 5.0)
    model.close()


def test_power_that_falls_below_idle_is_no_negative_energy() -> None:
    fit = dataclasses.replace(CPU_FIT, thread_w=-1.0, beyond_w=20.0)
    active, idle = CalibratedModel(dataclasses.replace(CPU_ENTRY, fit=fit)).interval(6.0, 1.0)
    assert (active, idle) == (0.0, pytest.approx(4.0))


def test_the_band_is_that_of_the_fit_and_wider_for_a_shared_one_and_in_a_guest() -> None:
    method = CalibratedModel(CPU_ENTRY).method
    assert (method.name, method.low, method.high) == ("cpu-model:calibrated", pytest.approx(1 / 1.2), 1.2)
    assert not method.measured
    assert method.edge_j == pytest.approx(0.08)
    assert method.attribution == "whole machine, calibrated 2026-11-28"
    shared = CalibratedModel(dataclasses.replace(CPU_ENTRY, shared=True))
    assert shared.method.high == pytest.approx(1.2 * 1.15)
    assert "shared by a machine with this processor" in shared.detail
    guest = dataclasses.replace(CPU_ENTRY, machine=dataclasses.replace(MACHINE, virtual=True))
    assert CalibratedModel(guest).method.low == pytest.approx(1 / 3.6)
    assert CalibratedModel(guest).method.high == pytest.approx(1.8)


def test_it_is_a_curve_that_is_read_as_often_as_the_other_one() -> None:
    model = CalibratedModel(CPU_ENTRY)
    assert isinstance(model, LoadCurve)
    assert model.max_gap_s == model.window_s == 5.0
    assert (model.covers, model.failures, model.partial, model.threads) == ({"cpu"}, (), False, 12)


def test_the_user_s_store_is_looked_up_by_the_machine_as_it_is(tmp_path: Path) -> None:
    FakeMachine(tmp_path)
    assert choice_for(BARE_METAL, tmp_path).entry is None
    path = write(user_file(tmp_path), CPU_ENTRY)
    assert choice_for(BARE_METAL, tmp_path).entry == dataclasses.replace(CPU_ENTRY, file=path)
    (tmp_path / "sys/devices/system/cpu/intel_pstate/no_turbo").write_text("1\n")
    assert choice_for(BARE_METAL, tmp_path).why == ("turbo is 'off', was 'on'",)


@pytest.mark.parametrize("view", [{"lxcfs": True}, {"sandbox": "gVisor"}], ids=["lxcfs", "sandbox"])
def test_where_the_load_is_not_the_machine_s_no_calibration_is_used(tmp_path: Path, view: dict[str, object]) -> None:
    FakeMachine(tmp_path)
    write(user_file(tmp_path), CPU_ENTRY)
    host = dataclasses.replace(BARE_METAL, **view)  # type: ignore[arg-type]
    assert choice_for(host, tmp_path).entry is None
