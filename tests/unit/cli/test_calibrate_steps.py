from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from calibrations import CPU_FIT, DAY, FakeMachine

from eco2ai_callbacks.calibration import store
from eco2ai_callbacks.calibration.store import Entry, append, read, user_file
from eco2ai_callbacks.cli.calibrate_steps import keep, this_bench


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path)


def test_a_fit_goes_into_the_user_s_file_or_for_root_into_the_site_s(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eco2ai_callbacks.cli.calibrate_steps._is_root", lambda: False)
    assert keep(CPU_FIT, machine.bench, None) == user_file(tmp_path)
    site = tmp_path / "etc/calibration.jsonl"
    monkeypatch.setattr("eco2ai_callbacks.cli.calibrate_steps._is_root", lambda: True)
    monkeypatch.setattr("eco2ai_callbacks.cli.calibrate_steps.SITE_FILE", site)
    monkeypatch.setattr(store, "SITE_FILE", site)
    umask = os.umask(0o077)
    try:
        assert keep(CPU_FIT, machine.bench, None) == site
    finally:
        os.umask(umask)
    # Every user's later runs read it, and only root writes it.
    assert (site.stat().st_mode & 0o777, site.parent.stat().st_mode & 0o777) == (0o644, 0o755)
    [entry] = read([site]).entries
    assert (entry.fit, entry.day, entry.machine) == (CPU_FIT, DAY, machine.bench.machine)


def test_a_file_that_cannot_be_written_costs_no_calibration(
    machine: FakeMachine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").write_text("")
    with pytest.raises(click.ClickException, match=r"cannot be written to .*; name another file by --file") as error:
        keep(CPU_FIT, machine.bench, tmp_path / "full/calibration.jsonl")
    assert "Traceback" not in error.value.message
    assert Entry.parse(capsys.readouterr().out.strip()).fit == CPU_FIT


def test_a_file_that_will_not_be_trusted_is_named(machine: FakeMachine, tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.write_text("")
    path.chmod(0o666)
    with pytest.raises(click.ClickException, match=r"was written to .*, but will not be used"):
        keep(CPU_FIT, machine.bench, path)


def test_a_newer_entry_of_a_clock_that_was_wrong_is_not_overlooked(machine: FakeMachine, tmp_path: Path) -> None:
    path = tmp_path / "store"
    append(path, Entry(machine.bench.machine, CPU_FIT, DAY.replace(year=2099), "0.1.0"))
    with pytest.raises(click.ClickException, match="will not be used"):
        keep(CPU_FIT, machine.bench, path)


def test_a_file_that_is_read_by_nobody_is_said_to_be(
    machine: FakeMachine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(CPU_FIT, machine.bench, tmp_path / "elsewhere")
    assert "is not read by itself: put the line into" in capsys.readouterr().out


def test_this_machine_is_the_bench() -> None:
    bench = this_bench()
    assert bench.host.threads >= len(bench.cpus) > 0
    assert set(bench.cpus) <= os.sched_getaffinity(0)
    assert bench.machine.threads == bench.host.threads
