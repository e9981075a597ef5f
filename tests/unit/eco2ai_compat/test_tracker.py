"""eco2AI's tracker on a machine whose processor uses a kilowatt."""

from __future__ import annotations

import csv
import dataclasses
import json
import logging
import math
import os
import time
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.carbon.intensity import lookup
from eco2ai_callbacks.eco2ai_compat.encode import decode
from eco2ai_callbacks.eco2ai_compat.errors import IncorrectMethodSequenceError
from eco2ai_callbacks.eco2ai_compat.params import get_params
from eco2ai_callbacks.eco2ai_compat.tracker import Tracker
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.testing import Clock, fake_platform

FRANCE = lookup("FR").g_per_kwh


def rows(path: str = "emission.csv") -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def events(path: str = "emission.jsonl") -> list[str]:
    return [json.loads(line)["event"] for line in Path(path).read_text().splitlines()]


def tracker(machine: Platform, **arguments: Any) -> Tracker:
    return Tracker(**{"alpha_2_code": "FR", "measure_period": 10**6, **arguments}, platform=machine)


def test_a_run_is_one_row_and_the_log_is_beside_it(machine: Platform, clock: Clock) -> None:
    run = tracker(machine, project_name="demo", experiment_description="a CNN", pue=1.5)
    assert (run.consumption(), run.price(), run.id()) == (0.0, 0.0, None)
    assert (run.emission_level(), run.measure_period()) == (FRANCE, 10**6)
    run.start()
    clock.advance(1800.0)
    assert run.consumption() == pytest.approx(0.75)
    clock.advance(1800.0)
    run.stop()
    assert run.consumption() == pytest.approx(1.5)
    (row,) = rows()
    assert (row["id"], row["project_name"], row["experiment_description"]) == (run.id(), "demo", "a CNN")
    assert (row["epoch"], row["duration(s)"], row["cost"]) == ("N/A", "3600.0", "0.0")
    assert float(row["power_consumption(kWh)"]) == pytest.approx(1.5)
    assert float(row["CO2_emissions(kg)"]) == pytest.approx(1.5 * FRANCE / 1000)
    assert (row["GPU_name"], row["region/country"]) == (" 0 device(s)", "FR")
    assert events() == ["start", "stop"]
    assert not verify([Path("emission.jsonl")], None).faults


def beat(clock: Clock, seconds: float) -> None:
    """Let time pass, and wait for a heartbeat that has seen it."""
    before = Path("emission.csv").read_bytes() if Path("emission.csv").exists() else b""
    clock.advance(seconds)
    for _ in range(2000):
        now = Path("emission.csv").read_bytes() if Path("emission.csv").exists() else b""
        if now != before and now.count(b"\n") > 1:  # more than the header
            return
        time.sleep(0.005)
    pytest.fail("no heartbeat came")


def test_the_row_of_a_run_is_there_before_its_end(machine: Platform, clock: Clock) -> None:
    with tracker(machine, measure_period=0.1):
        for hours in (1.0, 2.0, 3.0):
            beat(clock, 3600.0)
            (row,) = rows()
            assert float(row["power_consumption(kWh)"]) == pytest.approx(hours)
        with Tracker(alpha_2_code="FR", project_name="other", platform=machine):
            pass
        beat(clock, 3600.0)
    first, other = rows()
    assert (float(first["duration(s)"]), other["project_name"]) == (4 * 3600.0, "other")
    assert float(first["CO2_emissions(kg)"]) == pytest.approx(4 * FRANCE / 1000)


@pytest.mark.parametrize("moved", [True, False], ids=["moved", "removed"])
def test_the_rows_of_a_run_add_up_where_another_tool_writes_the_file_anew(
    moved: bool, machine: Platform, clock: Clock
) -> None:
    path = Path("emission.csv")
    with tracker(machine, measure_period=0.1):
        beat(clock, 3600.0)
        # As pandas writes it: shorter numbers, and no N/A.
        text = path.read_text().replace("N/A,2", ",2").replace("00000000,", ",")
        path.write_text(text if moved else text.splitlines()[0] + "\n")
        beat(clock, 3600.0)
        beat(clock, 3600.0)
    assert [float(row["power_consumption(kWh)"]) for row in rows()] == pytest.approx([1.0, 2.0] if moved else [3.0])
    assert sum(float(row["duration(s)"]) for row in rows()) == 3 * 3600.0


def test_a_training_has_a_row_for_each_epoch(machine: Platform, clock: Clock) -> None:
    run = tracker(machine)
    run.start_training(start_epoch=3)
    clock.advance(3600.0)
    assert run.consumption() == pytest.approx(1.0)
    run.new_epoch({"loss": 0.5, 1: "two"})
    assert run.consumption() == 0.0
    clock.advance(7200.0)
    assert run.consumption() == pytest.approx(2.0)
    run.new_epoch({})
    run.new_epoch(7, {"loss": 0.25})
    run.new_epoch(epoch=9)
    run.new_epoch()
    clock.advance(3600.0)
    run.stop_training()
    assert run.consumption() == pytest.approx(4.0)
    found = rows()
    assert {row["id"] for row in found} == {run.id()}
    assert [row["epoch"] for row in found] == [
        "epoch: 3, loss: 0.5, 1: two, ",
        "epoch: 4, ",
        "epoch: 7, loss: 0.25, ",
        "epoch: 9, ",
        "epoch: 10, ",
    ]
    assert [float(row["power_consumption(kWh)"]) for row in found[:3]] == pytest.approx([1.0, 2.0, 0.0])
    assert events() == ["start", *["epoch"] * 5, "stop"]


def test_the_price_follows_the_hours_and_midnights(machine: Platform, clock: Clock) -> None:
    run = tracker(machine, electricity_pricing={"8:00-20:00": 0.3, "20:00-8:00": 0.1})
    run.start()
    clock.advance(2 * 24 * 3600.0)
    assert run.price() == pytest.approx(48 * 0.2)
    run.stop()
    assert run.price() == pytest.approx(48 * 0.2)
    assert float(rows()[0]["cost"]) == pytest.approx(48 * 0.2)


def test_each_start_is_a_run_of_its_own(machine: Platform, clock: Clock) -> None:
    run = tracker(machine)
    ids = []
    for _ in range(2):
        run.start()
        ids.append(run.id())
        clock.advance(3600.0)
        run.start()  # ends the one before
        ids.append(run.id())
        clock.advance(1800.0)
        run.stop()
        run.start_training()
        run.new_epoch({})
        run.start_training()
        run.stop()
    found = rows()
    assert [row["id"] for row in found if row["epoch"] == "N/A"] == ids
    assert [float(row["power_consumption(kWh)"]) for row in found if row["epoch"] == "N/A"] == [1.0, 0.5, 1.0, 0.5]
    assert len({row["id"] for row in found}) == 6


def test_a_second_stop_does_nothing(machine: Platform) -> None:
    run = tracker(machine)
    run.start()
    run.stop()
    run.stop()
    run.start_training()
    run.stop_training()
    run.stop_training()
    run.stop()
    assert len(rows()) == 1


def test_calls_in_a_wrong_order_are_refused(machine: Platform) -> None:
    run = tracker(machine)
    with pytest.raises(IncorrectMethodSequenceError, match=r"^stop was called before start"):
        run.stop()
    with pytest.raises(IncorrectMethodSequenceError, match=r"^stop_training was called before start_training"):
        run.stop_training()
    with pytest.raises(IncorrectMethodSequenceError, match=r"^new_epoch was called outside of a training"):
        run.new_epoch({})
    run.start()
    with pytest.raises(IncorrectMethodSequenceError, match=r"^stop_training was called in a run without epochs"):
        run.stop_training()
    with pytest.raises(IncorrectMethodSequenceError, match=r"^new_epoch was called outside of a training"):
        run.new_epoch({})
    run.stop()
    run.start_training()
    with pytest.raises(IncorrectMethodSequenceError, match=r"^start was called in a training"):
        run.start()
    run.stop()
    with pytest.raises(IncorrectMethodSequenceError, match=r"^new_epoch was called outside of a training"):
        run.new_epoch({})


def test_the_users_exception_is_not_hidden_by_a_stop(machine: Platform) -> None:
    run = tracker(machine)

    def work() -> None:
        try:
            raise KeyError("mine")
        finally:
            run.stop()

    with pytest.raises(KeyError, match="mine"):
        work()


@pytest.mark.parametrize(
    ("call", "arguments", "said"),
    [
        ("start_training", (1.5,), "start_epoch=1.5 "),
        ("start_training", (True,), "start_epoch=True "),
        ("new_epoch", ("loss",), "parameters_dict='loss' "),
        ("new_epoch", (True,), "parameters_dict=True "),
        ("new_epoch", (3, "loss"), "parameters_to_save='loss' "),
    ],
)
def test_wrong_arguments_of_a_training_are_refused(
    call: str, arguments: tuple[Any, ...], said: str, machine: Platform
) -> None:
    run = tracker(machine)
    run.start_training()
    with pytest.raises(SettingsError) as raised:
        getattr(run, call)(*arguments)
    assert str(raised.value).startswith(f"{said}(from argument) is not accepted; accepted: ")
    run.stop()


def test_the_latest_parameters_are_kept_for_the_next_tracker(machine: Platform) -> None:
    tracker(machine, project_name="mine", experiment_description="first", file_name="mine.csv")
    later = Tracker(platform=machine, alpha_2_code="FR")
    assert (later.project_name, later.experiment_description, later.file_name) == ("mine", "first", "mine.csv")
    assert get_params()["measure_period"] == 10


def test_a_refused_tracker_keeps_nothing(machine: Platform) -> None:
    with pytest.raises(SettingsError):
        tracker(machine, project_name="mine", cpu_processes="mine")
    assert get_params()["project_name"] == "Default project name"


def test_it_is_a_context_manager(machine: Platform, clock: Clock) -> None:
    run = tracker(machine)

    def work() -> None:
        with run:
            clock.advance(3600.0)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        work()
    assert float(rows()[0]["power_consumption(kWh)"]) == pytest.approx(1.0)
    assert run.id() == rows()[0]["id"]
    assert json.loads(Path("emission.jsonl").read_text().splitlines()[-1])["ended"] == "interrupted"
    tracker(machine).__exit__(None, None, None)


def test_what_nothing_measures_is_no_number(clock: Clock) -> None:
    run = tracker(fake_platform(clock))
    run.start()
    clock.advance(1.0)
    run.stop()
    assert math.isnan(run.consumption())
    assert (rows()[0]["power_consumption(kWh)"], rows()[0]["cost"]) == ("N/A", "0.0")


def test_an_encrypted_copy_holds_the_same_rows(fernet: Any, machine: Platform, clock: Clock) -> None:
    run = tracker(machine, encode_file=True)
    run.start()
    clock.advance(3600.0)
    run.stop()
    run.start_training()
    run.new_epoch({"loss": 0.5})
    run.stop()
    assert decode("encoded_emission.csv") == Path("emission.csv").read_bytes().decode()
    assert "loss" not in Path("encoded_emission.csv").read_text()


def test_a_copy_that_cannot_be_written_costs_no_row(
    fernet: Any, machine: Platform, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    Path("copy.csv").mkdir()
    run = tracker(machine, encode_file="copy.csv")
    run.start_training()
    for _ in range(2):
        clock.advance(3600.0)
        run.new_epoch({})
    run.stop()
    assert [float(row["power_consumption(kWh)"]) for row in rows()] == pytest.approx([1.0, 1.0])
    assert "encoded CSV file: " in caplog.text


@pytest.mark.usefixtures("no_fernet")
def test_without_cryptography_no_copy_is_promised(machine: Platform) -> None:
    with pytest.raises(ImportError, match="cryptography"):
        tracker(machine, encode_file=True)


@pytest.mark.parametrize("quiet", [False, True], ids=["warns", "is quiet"])
def test_a_place_that_is_not_known_is_a_warning_or_none(
    quiet: bool, machine: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = dataclasses.replace(machine, root=tmp_path)
    run = tracker(nowhere, alpha_2_code=None, ignore_warnings=quiet)
    run.start()
    run.stop()
    assert ("the place of this machine is not known" in caplog.text) is not quiet
    assert rows()[0]["region/country"] == "World"


def test_nothing_is_printed(machine: Platform, capfd: pytest.CaptureFixture[str]) -> None:
    with tracker(machine):
        logging.getLogger("eco2ai_callbacks").debug("%s", os.getpid())
    assert capfd.readouterr() == ("", "")


def test_the_log_may_be_switched_off(machine: Platform) -> None:
    with Tracker(platform=machine, alpha_2_code="FR", log_file=None):
        pass
    assert sorted(path.name for path in Path.cwd().iterdir() if path.is_file()) == ["emission.csv"]
