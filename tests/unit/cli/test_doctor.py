"""The command eco2ai doctor."""

from __future__ import annotations

import dataclasses
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import click
import pytest
from calibrations import CPU_ENTRY, CPU_FIT, write
from click.testing import CliRunner
from fake_machines import MACHINES, FakeMachine
from proc_tree import ProcTree

from eco2ai_callbacks.calibration.machine import read_machine
from eco2ai_callbacks.calibration.store import user_file
from eco2ai_callbacks.cli import main
from eco2ai_callbacks.cli.doctor import not_covered_lines, source_lines
from eco2ai_callbacks.host.machine import read_host
from eco2ai_callbacks.meters.cpu.busy import JobBusy
from eco2ai_callbacks.meters.discovery import MeterContext, discover
from eco2ai_callbacks.settings import NAMES, Settings
from eco2ai_callbacks.testing import BARE_METAL, Clock, FakeGpu, FakeNvml


def run(*args: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(args), env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_doctor_says_of_every_source_whether_it_works_or_why_not() -> None:
    code, text = run("doctor")
    assert code == 0
    for source in ("NVML", "RAPL", "CPU model", "RAM model"):
        line = next(line for line in text.splitlines() if f" {source}" in line)
        assert line.partition(":")[2].strip(), f"no reason at {source}"


def test_doctor_shows_every_setting_with_where_it_came_from() -> None:
    code, text = run("doctor", env={"ECO2AI_PUE": "1.25", "ECO2AI_REGION": "FR", "ECO2AI_REGON": "FR"})
    assert code == 0
    shown = {line.split()[0]: line for line in text.splitlines() if " = " in line}
    assert set(NAMES) <= set(shown)
    assert "1.25" in shown["pue"]
    assert "ECO2AI_PUE" in shown["pue"]
    assert shown["heartbeat_s"].split() == ["heartbeat_s", "=", "60.0", "default"]
    assert "ECO2AI_REGON is set, and names no setting" in text
    assert "France: 41.44 g CO2e/kWh (lifecycle, 2025" in text


def test_doctor_shows_this_machine_s_calibration_and_what_no_longer_matches(tmp_path: Path) -> None:
    here = read_machine(read_host())
    fit = dataclasses.replace(CPU_FIT, threads=here.threads, bend=0.0)
    entry = dataclasses.replace(CPU_ENTRY, machine=here, fit=fit, day=date.today() - timedelta(days=12))
    path = write(user_file(tmp_path), entry)
    _, text = run("doctor")
    assert f"calibration: cpu: made on {entry.day}, 5% mean error" in text
    assert f"12 days ago, {path}" in text
    write(path, dataclasses.replace(entry, machine=dataclasses.replace(here, governor="other")), "{")
    _, text = run("doctor")
    assert f"calibration: cpu: that of {entry.day} is not used: governor is {here.governor!r}, was 'other'" in text
    assert f"calibration: passed over: {path}, line 2: it is no JSON" in text
    path.unlink()
    assert "calibration: cpu: none; 'eco2ai calibrate cpu' makes one" in run("doctor")[1]


def test_doctor_names_what_the_intensity_over_time_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "hours.csv"
    path.write_text("start,g_per_kwh,kind\n2026-01-01T00:00Z,50,direct\n")
    code, text = run("doctor", env={"ECO2AI_INTENSITY": str(path), "ECO2AI_REGION": "FR"})
    assert code == 0
    assert "over time: hours.csv (SHA-256 " in text
    assert "(direct); the figure above counts where it has a gap" in text


def test_doctor_refuses_a_wrong_setting_in_one_sentence() -> None:
    code, text = run("doctor", env={"ECO2AI_SCOPE": "galaxy"})
    assert code == 2
    assert "scope='galaxy' (from ECO2AI_SCOPE) is not accepted; accepted: 'process' or 'machine'." in text


def test_doctor_refuses_a_place_that_is_none_in_one_sentence() -> None:
    code, text = run("doctor", env={"ECO2AI_REGION": "Atlantis"})
    assert code == 2
    assert "region='Atlantis' is no place of the table; nearest: " in text


def test_doctor_compares_each_gpu_s_counter_with_its_power(monkeypatch: pytest.MonkeyPatch) -> None:
    boards = FakeGpu("GPU-a", watts=200.0), FakeGpu("GPU-b", "NVIDIA Tesla P100", counter=False)
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(time.monotonic, *boards))
    code, text = run("doctor", "--gpu", "--seconds", "1")
    assert code == 0
    shown = [line.strip() for line in text.splitlines()]
    assert shown[shown.index("GPU counters against power, 1 s") + 1 :] == [
        "0: NVIDIA A100-SXM4-80GB (GPU-a): the energy counter and sampled power agree within 10%",
        "1: NVIDIA Tesla P100 (GPU-b): no energy counter: power is sampled, ±15 %",
    ]


def test_doctor_says_where_there_is_no_gpu_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(time.monotonic)
    nvml.fail("nvmlInit", 9)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    code, text = run("doctor", "--gpu")
    assert code == 0
    assert [line.strip() for line in text.splitlines()][-2:] == ["GPU counters against power, 30 s", "no NVIDIA driver"]


def looked_at(machine: FakeMachine, job: JobBusy | None) -> MeterContext:
    nvml = FakeNvml(Clock())
    nvml.fail("nvmlInit", 9)
    around = {"root": machine.root, "environ": machine.environ, "nvml": nvml, **machine.around}
    return MeterContext(dataclasses.replace(BARE_METAL, **machine.host), job, **around)


@pytest.mark.parametrize("name", MACHINES)
def test_each_machine_s_sources_are_named_or_the_fix(name: str, tmp_path: Path) -> None:
    make, expected = MACHINES[name]
    proc = ProcTree(tmp_path)
    proc.put(100, 1)
    context = dataclasses.replace(looked_at(make(tmp_path), JobBusy(100, proc.root)), proc=proc.root)
    found = discover(Settings(powercap_root=tmp_path / "none"), context)
    text = click.unstyle("\n".join((*not_covered_lines(found), *source_lines(found))))
    for line in expected:
        assert line in text
    assert "failed" not in {source.status for source in found.sources}
    for meter in found.meters:
        meter.close()


def test_doctor_itself_shows_them(tmp_path: Path) -> None:
    make, expected = MACHINES["perf refused"]
    machine = make(tmp_path)
    env = {"ECO2AI_POWERCAP_ROOT": str(tmp_path / "none")}
    done = CliRunner().invoke(main, ["doctor"], env=env, obj=lambda _, job: looked_at(machine, job))
    assert done.exit_code == 0, done.output
    for line in expected:
        assert line in done.output
