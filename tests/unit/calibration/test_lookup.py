from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from calibrations import CPU_ENTRY, DAY, MACHINE, WALL_ENTRY, on_day, write

from eco2ai_callbacks.calibration.lookup import by_component, state, wall_energy, wall_fit
from eco2ai_callbacks.calibration.machine import Machine
from eco2ai_callbacks.calibration.store import read


def lines(path: Path, machine: Machine = MACHINE, days: int = 0) -> list[str]:
    return list(state(read([path]), machine, on_day(CPU_ENTRY, days).day))


def test_energy_at_the_wall_is_that_of_the_machine_s_own_fit(tmp_path: Path) -> None:
    path = write(tmp_path / "store", WALL_ENTRY)
    energy = wall_energy(100.0 * 3600, 3600.0, {"cpu": "rapl"}, MACHINE, [path])
    assert energy is not None
    assert energy.kwh == pytest.approx(0.16)
    assert energy.warning == ""
    assert wall_fit(MACHINE, [path]) == WALL_ENTRY.fit
    assert wall_energy(1.0, 1.0, {}, dataclasses.replace(MACHINE, cpu="Other"), [path]) is None
    assert wall_energy(1.0, 1.0, {}, MACHINE, [write(tmp_path / "cpu", CPU_ENTRY)]) is None


def test_methods_are_those_of_components() -> None:
    assert by_component({"gpu:a": "nvml-energy", "gpu:b": "nvml-power", "cpu": "rapl"}) == {
        "gpu": "nvml-energy+nvml-power",
        "cpu": "rapl",
    }


def test_a_calibration_is_shown_with_its_age(tmp_path: Path) -> None:
    path = write(tmp_path / "store", CPU_ENTRY, WALL_ENTRY)
    cpu, wall = lines(path, days=12)
    assert cpu == (f"cpu: made on {DAY}, 5% mean error, 90 % of loads within x0.83 to x1.20, 12 days ago, {path}")
    assert wall == f"wall: made on {DAY}, wall = 50 W + 1.10 x measured, 3% median error, 12 days ago, {path}"
    assert "today" in lines(path)[0]
    assert "over 365 days old: run 'eco2ai calibrate cpu' again" in lines(path, days=400)[0]
    assert "3 days in the future by this clock" in lines(path, days=-3)[0]


def test_one_that_no_longer_matches_is_shown_with_the_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "store", CPU_ENTRY, "{")
    cpu, fault = lines(path, dataclasses.replace(MACHINE, governor="powersave", turbo="off"))
    assert cpu == (
        f"cpu: that of {DAY} is not used: governor is 'powersave', was 'performance', turbo is 'off', was 'on'; "
        "run 'eco2ai calibrate cpu' for the machine as it is"
    )
    assert fault == f"passed over: {path}, line 2: it is no JSON"


def test_where_there_is_none_the_command_is_named(tmp_path: Path) -> None:
    assert lines(tmp_path / "missing") == [
        "cpu: none; 'eco2ai calibrate cpu' makes one where the energy counters can be read, once as root"
    ]


def test_a_shared_one_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "store", dataclasses.replace(CPU_ENTRY, shared=True))
    assert "cpu: shared by another machine on" in lines(path)[0]
