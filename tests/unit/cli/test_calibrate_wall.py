from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from calibrations import TOOLS, FakeMachine
from click.testing import CliRunner

from eco2ai_callbacks.calibration.http_meter import HttpMeter, MeterError
from eco2ai_callbacks.calibration.ipmi_meter import IpmiMeter
from eco2ai_callbacks.calibration.lookup import wall_energy
from eco2ai_callbacks.calibration.store import read, user_file
from eco2ai_callbacks.calibration.wall import WallFitError
from eco2ai_callbacks.cli import main
from eco2ai_callbacks.cli.calibrate_wall import calibrate_wall, finish
from eco2ai_callbacks.settings import Settings


def invoke(*args: str, **options: Any) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["calibrate", "wall", *args], **options)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


class Socket:
    """A meter at the wall of a machine: 40 W and 1.2 times what its processors draw."""

    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine
        self.reads = 0
        self.silent = False

    def read(self, meter: HttpMeter) -> float:
        self.reads += 1
        if self.silent:
            raise MeterError(f"{meter.shown} did not answer: timed out")
        return 40.0 + 1.2 * self.machine.watts


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path)


@pytest.fixture
def socket(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> Socket:
    found = Socket(machine)
    monkeypatch.setattr(HttpMeter, "read", lambda self: found.read(self))
    return found


def settings(machine: FakeMachine, **more: Any) -> Settings:
    return Settings(scope="machine", powercap_root=machine.tree.root, gpus="none", ram_w_per_gib=0.0, **more)


METER = HttpMeter("http://plug/status", "power")


def test_a_machine_beside_a_plug_gets_its_line(
    machine: FakeMachine, socket: Socket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = calibrate_wall(machine.bench, settings(machine), asked=METER)
    assert (fit.base_w, fit.slope) == (pytest.approx(40.0, abs=0.5), pytest.approx(1.2, rel=0.01))
    assert fit.methods["cpu"] == "rapl"
    assert fit.error < 0.01
    assert socket.reads > 100
    assert machine.ended
    finish(fit, machine.bench, user_file(tmp_path))
    text = capsys.readouterr().out
    assert "http://plug/status shows 52.0 W." in text
    assert f"Stored in {user_file(tmp_path)}." in text
    energy = wall_energy(30.0 * 3600, 3600.0, fit.methods, machine.bench.machine)
    assert energy is not None
    assert energy.kwh == pytest.approx(0.076, rel=0.01)
    assert energy.warning == ""


def test_a_machine_beside_its_bmc_gets_its_line(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IpmiMeter, "read", lambda _: float(round(40.0 + 1.2 * machine.watts)))
    fit = calibrate_wall(machine.bench, settings(machine), asked=IpmiMeter())
    assert (fit.base_w, fit.slope) == (pytest.approx(40.0, abs=1.0), pytest.approx(1.2, rel=0.02))


def test_a_plug_that_goes_silent_ends_it_and_the_load(machine: FakeMachine, socket: Socket) -> None:
    machine.on_tick = lambda: setattr(socket, "silent", len(machine.loads) > 3)
    with pytest.raises(MeterError, match="no power 10 times in a row: http://plug/status did not answer"):
        calibrate_wall(machine.bench, settings(machine), asked=METER)
    assert machine.ended


def test_a_logger_s_table_is_read_after_the_loads(machine: FakeMachine, tmp_path: Path) -> None:
    table = tmp_path / "log.csv"
    offset_s = time.time() - machine.clock()
    rows = ["time,watts"]
    sleep = machine.bench.sleep

    def logged(seconds: float) -> None:
        for _ in range(round(seconds)):
            rows.append(f"{machine.clock() + offset_s + 0.5:.3f},{40.0 + 1.2 * machine.watts:.1f}")
            sleep(1.0)
        table.write_text("\n".join(rows))

    object.__setattr__(machine.bench, "sleep", logged)
    fit = calibrate_wall(machine.bench, settings(machine), table=table)
    assert (fit.base_w, fit.slope) == (pytest.approx(40.0, abs=2), pytest.approx(1.2, rel=0.05))


def test_a_person_types_what_the_meter_shows(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def prompt(text: str, **options: Any) -> str:
        asked.append(text)
        if len(asked) == 2:
            return "a lot"
        return "" if len(asked) == 5 else f"{40.0 + 1.2 * machine.watts:.0f} W"

    monkeypatch.setattr("click.prompt", prompt)
    fit = calibrate_wall(machine.bench, settings(machine))
    assert (fit.base_w, fit.slope) == (pytest.approx(40.0, abs=1), pytest.approx(1.2, rel=0.02))
    assert fit.runs == len(machine.loads) - 1
    assert len(asked) == len(machine.loads) + 1


def test_where_nothing_is_measured_there_is_nothing_to_fit(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, socket: Socket
) -> None:
    class Nothing:
        meters = ()

    monkeypatch.setattr("eco2ai_callbacks.cli.calibrate_wall.discover", lambda *args: Nothing())
    with pytest.raises(WallFitError, match="nothing is measured here"):
        calibrate_wall(machine.bench, settings(machine), asked=METER)


# --- the command ------------------------------------------------------------------------------------------------------


def test_finished_runs_of_a_table_are_fit_and_stored(tmp_path: Path) -> None:
    rows = [line for line in (TOOLS / "wall_runs.csv").read_text().splitlines() if not line.startswith("#")]
    table = tmp_path / "runs.csv"
    table.write_text("\n".join([rows[0], *(row for row in rows if "RTX" in row)][:80]))
    code, text = invoke("--runs", str(table), "--file", str(user_file(tmp_path)))
    assert code == 0, text
    assert "x measured, from 79 runs of " in text
    [entry] = read([user_file(tmp_path)]).entries
    assert entry.kind == "wall"


def test_a_poor_fit_warns(tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    table.write_text("seconds,measured_kwh,wall_kwh\n60,1,2\n60,2,9\n60,3,4\n60,4,19\n60,5,7\n60,6,30\n")
    code, text = invoke("--runs", str(table), "--file", str(user_file(tmp_path)))
    assert code == 0
    assert "Warning: the fit is poor (above 10%)" in text


@pytest.mark.parametrize(
    ("args", "code", "why"),
    [
        ([], 2, "give either --meter (typed, csv, json, shelly, shelly1, tasmota, redfish, ipmi) or --runs"),
        (["--meter", "typed", "--runs", "x"], 2, "give either --meter"),
        (["--meter", "csv"], 2, "--meter csv and --csv FILE belong together"),
        (["--meter", "typed", "--csv", "x"], 2, "--meter csv and --csv FILE belong together"),
        (["--meter", "shelly"], 2, "--meter shelly needs an address by --url"),
        (["--meter", "typed", "--url", "http://x"], 2, "--meter typed takes no address by --url"),
        (["--meter", "pdu"], 2, "is not one of 'typed', 'csv', 'json'"),
        (["--meter", "ipmi", "--url", "http://x"], 2, "--meter ipmi takes no address by --url"),
        (["--meter", "shelly", "--url", "file:///etc/passwd"], 1, "url is no address of a meter"),
        (["--meter", "json", "--url", "http://x"], 1, "leads nowhere"),
        (["--runs", "missing.csv"], 1, "missing.csv cannot be read: No such file or directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_options_are_one_sentence(args: list[str], code: int, why: str) -> None:
    found, text = invoke(*args)
    assert (found, " ".join(text.split()).count(why)) == (code, 1), text


def test_the_credential_of_a_meter_is_in_no_message() -> None:
    code, text = invoke(
        "--meter",
        "json",
        "--url",
        "http://127.0.0.1:1/x?token=t0k3n",
        "--path",
        "power",
        "--no-gpu",
        env={"ECO2AI_METER_USER": "admin:pa55w0rd"},
    )
    assert code == 1
    assert "http://127.0.0.1:1/x did not answer" in text or "threads may be used here" in text
    assert "pa55w0rd" not in text
    assert "t0k3n" not in text
