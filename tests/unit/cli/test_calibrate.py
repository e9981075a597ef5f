from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path

import click
import pytest
from calibrations import CPU_ENTRY, FakeMachine, write
from click.testing import CliRunner

from eco2ai_callbacks.calibration.loads import Load, WorkerError
from eco2ai_callbacks.calibration.machine import read_machine
from eco2ai_callbacks.calibration.store import read, user_file
from eco2ai_callbacks.cli import main
from eco2ai_callbacks.cli.calibrate import Counters, calibrate_cpu
from eco2ai_callbacks.meters.cpu.calibrated import CalibratedModel
from eco2ai_callbacks.meters.cpu.sources import CpuSources
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.testing import BARE_METAL

# The package's attribute of this name is the command.
MODULE = importlib.import_module("eco2ai_callbacks.cli.calibrate")


def test_a_machine_is_calibrated_once_as_root_and_estimated_by_it_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = FakeMachine(tmp_path)
    file = user_file(tmp_path)
    fit = calibrate_cpu(machine.bench, machine.tree.root, file=file)
    assert fit.watts(0) == pytest.approx(10.0, abs=0.1)
    assert fit.watts(12) == pytest.approx(76.0, abs=0.1)
    assert fit.error < 0.01
    text = capsys.readouterr().out
    assert "Idle 10.0 W, 8.00 W a busy thread up to 6.0 threads, 3.00 W beyond; full 76.0 W." in text
    assert text.endswith(f"Stored in {file}.\n")
    assert machine.ended
    # From now on nobody may read the counters.
    machine.tree.deny()
    settings = Settings(scope="machine", powercap_root=machine.tree.root)
    sources = CpuSources(settings, machine.host, None, machine.proc.root, machine.clock, tmp_path)
    [(meter, detail)] = sources.model()
    machine.put(Load(5))
    for _ in range(12):
        machine.sleep(5.0)
        meter.read()
    assert meter.read()["cpu"] == pytest.approx(60 * 50.0, rel=0.01)
    assert meter.methods["cpu"].name == "cpu-model:calibrated"
    assert detail.startswith("calibrated on this machine on 2026-11-28, 19 loads, ")


def test_other_programs_on_the_machine_count_by_their_busy_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = FakeMachine(tmp_path, others=2.0)
    fit = calibrate_cpu(machine.bench, machine.tree.root, quick=True, file=user_file(tmp_path))
    assert fit.watts(6) == pytest.approx(58.0, abs=1.0)
    assert "other programs kept 2.0 of 12 threads busy: calibrate again without them." in capsys.readouterr().out


def test_a_step_in_which_a_counter_fails_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = FakeMachine(tmp_path)

    def reset_once() -> None:
        if len(machine.loads) == 5 and machine.clock() % 10 == 0:
            machine.tree.reset(machine.package, 7)

    machine.on_tick = reset_once
    fit = calibrate_cpu(machine.bench, machine.tree.root, file=user_file(tmp_path))
    assert fit.points == 18
    assert fit.watts(12) == pytest.approx(76.0, abs=0.1)
    assert "and their steps are left out: RAPL: package-0 was reset" in capsys.readouterr().out


def refused(machine: FakeMachine, tmp_path: Path) -> str:
    with pytest.raises(click.ClickException) as error:
        calibrate_cpu(machine.bench, machine.tree.root, quick=True, file=user_file(tmp_path))
    assert not user_file(tmp_path).exists()
    return error.value.message


def test_without_the_right_to_read_the_counters_the_commands_are_named(tmp_path: Path) -> None:
    machine = FakeMachine(tmp_path)
    machine.tree.deny()
    text = refused(machine, tmp_path)
    assert text.startswith("the energy counters cannot be used: unreadable: no permission to read")
    assert "sudo systemd-tmpfiles" in text
    assert not machine.loads


def test_counters_that_stand_still_or_do_not_follow_the_load_are_refused(tmp_path: Path) -> None:
    for name in ("still", "flat"):
        (tmp_path / name).mkdir()
    still, flat = FakeMachine(tmp_path / "still", lambda busy: 0.0), FakeMachine(tmp_path / "flat", lambda busy: 30.0)
    assert "were lost: no energy counter can be read any more: package-0 stands still" in refused(still, tmp_path)
    assert still.ended
    assert "the power does not rise with the load" in refused(flat, tmp_path)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"system": "Darwin"}, "calibrations need Linux; this is Darwin"),
        ({"lxcfs": True}, "under lxcfs the machine's load cannot be read"),
        ({"sandbox": "gVisor"}, "under gVisor the machine's load cannot be read"),
        ({"allowed_threads": 4.0}, "only 4 of the machine's 12 threads may be used here"),
    ],
    ids=["macOS", "lxcfs", "sandbox", "container"],
)
def test_where_the_whole_machine_cannot_be_loaded_it_says_so(
    tmp_path: Path, facts: dict[str, object], why: str
) -> None:
    machine = FakeMachine(tmp_path, host=dataclasses.replace(BARE_METAL, **facts))  # type: ignore[arg-type]
    assert why in refused(machine, tmp_path)


def test_a_worker_that_fails_is_a_sentence(tmp_path: Path) -> None:
    machine = FakeMachine(tmp_path)

    def none(cpus: object, gpu: bool) -> FakeMachine:
        raise WorkerError("a worker of the load did not start")

    machine.bench = dataclasses.replace(machine.bench, load=none)
    assert refused(machine, tmp_path) == "a worker of the load did not start"


def test_an_interrupted_calibration_ends_the_load_and_stores_nothing(tmp_path: Path) -> None:
    machine = FakeMachine(tmp_path)

    def interrupt() -> None:
        if len(machine.loads) == 3:
            raise KeyboardInterrupt

    machine.on_tick = interrupt
    with pytest.raises(KeyboardInterrupt):
        calibrate_cpu(machine.bench, machine.tree.root, file=user_file(tmp_path))
    assert machine.ended
    assert not user_file(tmp_path).exists()


def test_a_read_at_the_same_moment_adds_nothing(tmp_path: Path) -> None:
    machine = FakeMachine(tmp_path)
    counters = Counters(machine.bench, machine.tree.root)
    machine.sleep(2.0)
    assert counters().joules == counters().joules == {"cpu": pytest.approx(20.0)}


# --- the command ------------------------------------------------------------------------------------------------------


def test_sharing_prints_a_line_that_another_machine_s_store_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "read_host", lambda: BARE_METAL)
    assert "there is no calibration of this CPU to share" in CliRunner().invoke(main, ["calibrate", "share"]).output
    own = dataclasses.replace(CPU_ENTRY, machine=read_machine(BARE_METAL))
    write(user_file(tmp_path), own)
    done = CliRunner().invoke(main, ["calibrate", "share"])
    assert done.exit_code == 0
    assert done.output.count("\n") == 1
    assert set(json.loads(done.output)) == {"eco2ai_calibration", "kind", "date", "version", "shared", "machine", "fit"}
    [entry] = read([write(tmp_path / "site", done.output.strip())]).entries
    assert entry.shared
    assert CalibratedModel(entry).method.high > CalibratedModel(own).method.high


@pytest.mark.parametrize("facts", [{"virtual": True}, {"cpu_name": ""}], ids=["guest", "nameless"])
def test_what_does_not_identify_a_machine_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: dict[str, object]
) -> None:
    host = dataclasses.replace(BARE_METAL, **facts)  # type: ignore[arg-type]
    monkeypatch.setattr(MODULE, "read_host", lambda: host)
    write(user_file(tmp_path), dataclasses.replace(CPU_ENTRY, machine=read_machine(host)))
    done = CliRunner().invoke(main, ["calibrate", "share"])
    assert done.exit_code == 1
    assert "this calibration is for this machine alone" in done.output


def test_wrong_settings_are_one_sentence() -> None:
    done = CliRunner().invoke(main, ["calibrate", "cpu"], env={"ECO2AI_SCOPE": "galaxy"})
    assert done.exit_code == 2
    assert "scope='galaxy' (from ECO2AI_SCOPE) is not accepted" in done.output


def test_without_counters_the_command_says_why(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["calibrate", "cpu"], env={"ECO2AI_POWERCAP_ROOT": str(tmp_path / "none")})
    assert done.exit_code == 1
    assert "Error: " in done.output
    # Which sentence it is differs between machines: that there is no tree, or that not all threads may be used.
    assert "Traceback" not in done.output
