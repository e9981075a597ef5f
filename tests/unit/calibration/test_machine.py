from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from calibrations import MACHINE, FakeMachine

from eco2ai_callbacks.calibration.machine import Machine, read_machine
from eco2ai_callbacks.testing import BARE_METAL, CLOUD_VM


def test_the_facts_are_those_of_sysfs(tmp_path: Path) -> None:
    FakeMachine(tmp_path)
    assert read_machine(BARE_METAL, tmp_path / "sys") == MACHINE


def test_a_machine_without_those_files_has_no_governor_and_no_turbo(tmp_path: Path) -> None:
    found = read_machine(CLOUD_VM, tmp_path)
    assert (found.governor, found.turbo, found.virtual) == ("", "", True)


@pytest.mark.parametrize(
    ("file", "text", "turbo"),
    [
        ("intel_pstate/no_turbo", "1", "off"),
        ("intel_pstate/no_turbo", "0", "on"),
        ("cpufreq/boost", "1", "on"),
        ("cpufreq/boost", "0", "off"),
    ],
)
def test_turbo_is_read_from_either_driver(tmp_path: Path, file: str, text: str, turbo: str) -> None:
    path = tmp_path / "devices/system/cpu" / file
    path.parent.mkdir(parents=True)
    path.write_text(f"{text}\n")
    assert read_machine(BARE_METAL, tmp_path).turbo == turbo


def test_several_governors_are_all_named(tmp_path: Path) -> None:
    for number, governor in enumerate(["schedutil", "performance", "schedutil"]):
        folder = tmp_path / f"devices/system/cpu/cpufreq/policy{number}"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(governor)
    assert read_machine(BARE_METAL, tmp_path).governor == "performance+schedutil"


def test_what_has_changed_is_named() -> None:
    now = dataclasses.replace(MACHINE, governor="powersave", turbo="off")
    assert MACHINE.differences(now) == ("governor is 'powersave', was 'performance'", "turbo is 'off', was 'on'")
    assert MACHINE.is_same_processor(now)
    assert not MACHINE.differences(MACHINE)
    assert not MACHINE.is_same_processor(dataclasses.replace(MACHINE, threads=6))
    assert not MACHINE.is_same_processor(dataclasses.replace(MACHINE, virtual=True))


def test_a_machine_survives_its_dictionary() -> None:
    assert Machine.from_dict(MACHINE.to_dict()) == MACHINE


@pytest.mark.parametrize(
    "damage",
    [{"cpu": None}, {"threads": 0}, {"threads": True}, {"threads": 1.5}, {"virtual": 1}, {"turbo": 1}],
    ids=str,
)
def test_damaged_facts_are_refused(damage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="describes no machine"):
        Machine.from_dict(MACHINE.to_dict() | damage)
