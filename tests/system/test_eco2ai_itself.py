"""eco2AI's own scripts, files and sums under both; needs eco2ai 0.3.12 with its old pandas (``tox -e eco2ai``)."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import inspect
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks import eco2ai as ours
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.sinks.csv_form import COLUMNS

if importlib.util.find_spec("eco2ai") is None:
    pytest.skip("eco2ai is not installed", allow_module_level=True)

# eco2AI's own, and those of the libraries that it uses.
pytestmark = pytest.mark.filterwarnings("ignore")

with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
    # The helpers of the tests have a module of the name of one that it imports.
    patch.setattr(sys, "path", [path for path in sys.path if Path(path).name != "support"])
    warnings.simplefilter("ignore")
    import eco2ai as theirs
    import pandas as pd

# What eco2AI asks the network for where no country is given; and no network at all for ours.
SITE = """
import os, sys
if os.environ["WHOSE"] == "theirs":
    import requests
    class Answer:
        content = b'{"country": "FR", "region": "Brittany"}'
    requests.get = lambda *_: Answer
else:
    def hook(event, args):
        if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
            os.write(2, f"network: {event} {args}".encode())
            os._exit(3)
    sys.addaudithook(hook)
"""
WORK = """
def work():
    import time
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    return 7
"""
# The scripts of eco2AI's README, with work in the places of its remarks.
README = {
    "tracker": """
import eco2ai
tracker = eco2ai.Tracker(project_name="YourProjectName", experiment_description="training the <your model> model")
tracker.start()
work()
tracker.stop()
""",
    "decorator": """
from eco2ai import track
@track
def train_func(model, dataset, optimizer, epochs):
    return work()
assert train_func("your_model", "your_dataset", "your_optimizer", epochs=3) == 7
""",
    "kept parameters": """
import eco2ai
tracker = eco2ai.Tracker(
    project_name="YourProjectName",
    experiment_description="training <your model> model",
    file_name="emission.csv"
    )
tracker.start()
work()
tracker.stop()
tracker = eco2ai.Tracker()
tracker.start()
work()
tracker.stop()
""",
    "set_params": """
from eco2ai import set_params, Tracker
set_params(
    project_name="My_default_project_name",
    experiment_description="We trained...",
    file_name="my_emission_file.csv"
)
tracker = Tracker()
tracker.start()
work()
tracker.stop()
""",
    # The interface for epochs, as its docstrings describe it.
    "epochs": """
import eco2ai
tracker = eco2ai.Tracker(project_name="epochs", experiment_description="d", file_name="emission.csv", pue=1.2)
tracker.start_training()
for epoch in range(3):
    work()
    tracker.new_epoch({"train loss": 0.5 / (epoch + 1), "test loss": 1})
tracker.stop_training()
""",
}
# What a script of either writes in the same way: all but ids, times, figures and the processor's power.
SAME = ("project_name", "experiment_description", "epoch", "GPU_name", "OS")


def one_line_changed(script: str) -> str:
    return script.replace("import eco2ai\n", "from eco2ai_callbacks import eco2ai\n").replace(
        "from eco2ai import", "from eco2ai_callbacks.eco2ai import"
    )


@pytest.fixture(autouse=True)
def _in_france(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this test asks the network; eco2AI's parameters are those of a fresh installation."""
    monkeypatch.setattr("eco2ai.utils.requests.get", pytest.fail)
    monkeypatch.setenv("ECO2AI_REGION", "FR")
    Path(theirs.__file__).with_name("data").joinpath("config.txt").write_text("")


def environment(whose: str, folder: Path) -> dict[str, str]:
    site = folder / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(SITE)
    paths = [str(site), str(Path(ours.__file__).parents[1])]
    return {**os.environ, "WHOSE": whose, "PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "ignore"}


def run(script: str, whose: str, folder: Path) -> Path:
    """Run a script in a folder of its own, and return that."""
    here = folder / whose
    here.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WORK + script],
        cwd=here,
        env=environment(whose, folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return here


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def sums(module: Any, path: Path) -> Any:
    found = module.summary(str(path))
    assert not found.isna().any().any(), found
    return found


@pytest.mark.parametrize("name", README)
def test_a_script_of_its_readme_runs_with_one_line_changed(name: str, tmp_path: Path) -> None:
    script = README[name]
    at = {"theirs": run(script, "theirs", tmp_path), "ours": run(one_line_changed(script), "ours", tmp_path)}
    files = {whose: [path.name for path in sorted(folder.glob("*.csv"))] for whose, folder in at.items()}
    assert files["ours"] == files["theirs"]
    (file,) = files["ours"]
    found = {whose: rows(folder / file) for whose, folder in at.items()}
    assert tuple(found["ours"][0]) == tuple(found["theirs"][0]) == COLUMNS
    assert len(found["ours"]) == len(found["theirs"])
    for mine, its in zip(found["ours"], found["theirs"], strict=True):
        # pandas reads eco2AI's own N/A as nothing, and eco2AI writes it back so.
        assert [mine[column] for column in SAME] == [its[column] or "N/A" for column in SAME]
        cpu = re.compile(r"(.+/\d+ device\(s\)), TDP:(?:N/A|[\d.]+)")
        assert cpu.fullmatch(mine["CPU_name"])[1] == cpu.fullmatch(its["CPU_name"])[1]  # type: ignore[index]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", mine["start_time"])
        assert float(mine["power_consumption(kWh)"]) > 0
        assert float(mine["cost"]) == float(its["cost"]) == 0
    log = (at["ours"] / file).with_suffix(".jsonl")
    assert not verify([log], None).faults
    pd.testing.assert_frame_equal(sums(theirs, at["ours"] / file), sums(ours, at["ours"] / file))


def test_signatures_and_defaults_are_its_own() -> None:
    def parameters(function: Any) -> dict[str, Any]:
        return {name: each.default for name, each in inspect.signature(function).parameters.items()}

    mine = parameters(ours.Tracker)
    assert [mine.pop(name) for name in ("log_file", "platform")] == ["beside the CSV", None]
    assert mine == parameters(theirs.Tracker)
    assert list(mine) == list(parameters(theirs.Tracker))
    assert set(ours.get_params()) == set(theirs.get_params())
    assert ours.get_params() == theirs.get_params()
    methods = {name for name, _ in inspect.getmembers(theirs.Tracker, inspect.isfunction) if name[0] != "_"}
    inner = {"align_value_to_dtype", "get_set_params"}
    assert methods - inner <= set(dir(ours.Tracker))


def test_set_params_fills_in_what_it_fills_in() -> None:
    for given in ({}, {"file_name": "a.csv"}, {"project_name": "p", "pue": 1.5, "measure_period": 3}):
        ours.set_params(**given)
        theirs.set_params(**given)
        assert ours.get_params() == theirs.get_params()


def test_the_devices_are_printed_as_it_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    theirs.available_devices()
    its = capsys.readouterr().out
    ours.available_devices()
    assert capsys.readouterr().out == its


# --- arguments --------------------------------------------------------------------------------------------------------

DAY = {"8:30-19:00": 2, "19:00-6:00": 1, "6:00-8:30": 1.5}
RIGHT: dict[str, list[Any]] = {
    "project_name": ["demo", "Проект", 7],
    "experiment_description": ["a CNN", ""],
    "file_name": ["a.csv"],
    "measure_period": [1, 0.5],
    "emission_level": [100, 436.529],
    "alpha_2_code": ["FR", "RU"],
    "region": [None],
    "cpu_processes": ["current", "all"],
    "pue": [1, 1.6],
    "encode_file": [True, None],
    "electricity_pricing": [DAY, {"0:00-12:00": 1, "12:00-0:00": 2}],
    "ignore_warnings": [True, False],
    "timezone": ["Europe/Paris", "UTC", False],
}
# And whether eco2AI refuses it, too.
WRONG: dict[str, list[tuple[Any, bool]]] = {
    "project_name": [("", False), (["a"], False)],
    "experiment_description": [(b"a", True)],
    "file_name": [("", True), ("a.txt", True), (7, False)],
    "measure_period": [(0, True), (-1.5, True), ("10", False)],
    "emission_level": [(-1, False), ("400", False)],
    "alpha_2_code": [("France", False), ("ZZ", False), ("", False)],
    "region": [("Brittany", True)],
    "cpu_processes": [("mine", False)],
    "pue": [(0.5, False), ("1.5", False)],
    "encode_file": [("a.txt", True), (7, False)],
    "electricity_pricing": [({"8:00-20:00": 1}, True), ({"0:00-24:00": 1, "1:00-2:00": 1}, True), (0.2, True)],
    "ignore_warnings": [("yes", False)],
    "timezone": [("Mars/Olympus", True), (True, True)],
}


def made(module: Any, name: str, value: Any) -> Any:
    """A tracker with one argument of a kind, and nothing that asks the network."""
    country = {} if name == "region" else {"alpha_2_code": "FR"}
    return module.Tracker(**{"file_name": "emission.csv", **country, name: value})


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_argument_is_taken_by_both(name: str) -> None:
    for value in RIGHT[name] if name != "region" else ["Moscow", "Whole country"]:
        arguments = {"file_name": "emission.csv", "alpha_2_code": "RU" if name == "region" else "FR", name: value}
        one, other = ours.Tracker(**arguments), theirs.Tracker(**arguments)
        for each in ("consumption", "price", "id", "measure_period"):
            assert getattr(one, each)() == getattr(other, each)()
        assert isinstance(one.emission_level(), float)
        if name == "emission_level":
            assert one.emission_level() == other.emission_level()
        assert (one.file_name, str(one.project_name)) == (other.file_name, str(other.project_name))


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_is_refused_in_one_sentence_which_eco2ai_may_take(name: str) -> None:
    assert WRONG.keys() == RIGHT.keys()
    for value, refused in WRONG[name]:
        with pytest.raises(SettingsError) as raised:
            made(ours, name, value)
        assert str(raised.value).startswith(f"{name}={value!r} (from argument) ")
        assert re.fullmatch(r"[^\n]+\.", str(raised.value))
        its: BaseException | None = None
        with contextlib.suppress(Exception):
            try:
                made(theirs, name, value)
            except BaseException as error:
                its = error
                raise
        assert (its is not None) is refused, f"{name}={value!r}: {its!r}"


# --- files ------------------------------------------------------------------------------------------------------------

ROW = (
    '"old","an old run","2022-01-01 00:00:00","2.5","0.5","0.1","CPU/1 device(s), TDP:95.0"," 0 device(s)","Linux","FR"'
)
FORMS = {
    10: "project_name,experiment_description(model type etc.),start_time,duration(s),power_consumption(kWTh),"
    f"CO2_emissions(kg),CPU_name,GPU_name,OS,region/country\n{ROW}\n",
    11: f"{','.join(name for name in COLUMNS if name not in ('epoch', 'cost'))}\nid-1,{ROW}\n",
    12: f"{','.join(COLUMNS[:-1])}\n" + "id-1," + ROW.replace('"an old run",', '"an old run","N/A",') + "\n",
}


def measure(module: Any, path: Path, project: str) -> None:
    tracker = module.Tracker(
        project_name=project, experiment_description="d", file_name=str(path), alpha_2_code="FR", measure_period=100
    )
    tracker.start()
    tracker.stop()


@pytest.mark.parametrize("count", FORMS)
def test_a_file_of_an_older_version_is_continued_in_its_form(count: int, tmp_path: Path) -> None:
    path = tmp_path / "emission.csv"
    path.write_text(FORMS[count])
    measure(ours, path, "new")
    assert path.read_text().startswith(FORMS[count])
    frame = pd.read_csv(path)
    assert list(frame.columns) == FORMS[count].splitlines()[0].split(",")
    assert list(frame["project_name"]) == ["old", "new"]
    assert not frame.drop(columns="epoch", errors="ignore").isna().any().any()
    mine = sums(ours, path)
    assert list(mine["project_name"]) == ["new", "old", "All the projects"]
    assert mine["total duration(s)"].iloc[1] == 2.5


def test_both_write_to_one_file_in_turns(tmp_path: Path) -> None:
    path = tmp_path / "emission.csv"
    for number in range(3):
        measure(theirs, path, f"theirs {number}")
        measure(ours, path, f"ours {number}")
        with contextlib.ExitStack() as training:
            for module in (ours, theirs):
                tracker = module.Tracker(project_name="t", file_name=str(path), alpha_2_code="FR")
                tracker.start_training()
                training.callback(tracker.stop_training)
                tracker.new_epoch({"loss": 0.5})
                tracker.new_epoch({"loss": 0.25})
    found = rows(path)
    assert len(found) == 3 * 6
    assert [row["project_name"] for row in found[:6]] == ["theirs 0", "ours 0", "t", "t", "t", "t"]
    assert list(found[0]) == list(COLUMNS)
    pd.testing.assert_frame_equal(sums(theirs, path), sums(ours, path))
    assert list(path.parent.glob("*.csv")) == [path]


@pytest.mark.parametrize(
    "written",
    [
        "timestamp,project_name,run_id,experiment_id,duration,emissions\n",
        f"{';'.join(COLUMNS)}\n",
        f"\ufeff{','.join(COLUMNS)}\n",
    ],
    ids=["CodeCarbon", "semicolons", "byte order mark"],
)
def test_a_file_that_it_cannot_read_is_left_alone(
    written: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "emissions.csv"
    path.write_text(written)
    measure(ours, path, "new")
    assert path.read_text() == written
    beside = tmp_path / "emissions.eco2ai.csv"
    assert f"is no CSV of eco2AI, so the rows go to {beside}" in caplog.text
    pd.testing.assert_frame_equal(sums(theirs, beside), sums(ours, beside))


def test_a_price_is_the_same_where_it_has_one_value(tmp_path: Path) -> None:
    path = tmp_path / "emission.csv"
    for module in (theirs, ours):
        tracker = module.Tracker(
            project_name=module.__name__,
            file_name=str(path),
            alpha_2_code="FR",
            electricity_pricing={"0:00-12:00": 5, "12:00-0:00": 5},
        )
        tracker.start()
        time.sleep(0.3)
        tracker.stop()
    for row in rows(path):
        assert float(row["cost"]) == pytest.approx(5 * float(row["power_consumption(kWh)"]))
    pd.testing.assert_frame_equal(sums(theirs, path), sums(ours, path))


def test_an_encrypted_copy_is_read_again_by_hand(tmp_path: Path) -> None:
    from cryptography.fernet import Fernet

    path = tmp_path / "emission.csv"
    tracker = ours.Tracker(project_name="p", file_name=str(path), alpha_2_code="FR", encode_file=True)
    tracker.start_training()
    tracker.new_epoch({"loss": 0.5})
    tracker.new_epoch({"loss": 0.25})
    tracker.stop_training()
    copy = tmp_path / "encoded_emission.csv"
    assert ours.decode(copy) == path.read_text()
    key = (Path.home() / ".config/eco2ai/encode.key").read_bytes().strip()
    by_hand = b"".join(Fernet(key).decrypt(line) for line in copy.read_bytes().splitlines())
    assert path.read_bytes() == path.read_bytes().splitlines(keepends=True)[0] + by_hand


# --- several writers, and the end of one at any moment ----------------------------------------------------------------

WRITERS, EPOCHS = 8, 50
EPOCHS_OF_ONE = """
import sys
from eco2ai_callbacks import eco2ai
tracker = eco2ai.Tracker(project_name="p" + sys.argv[1], file_name="emission.csv", alpha_2_code="FR", measure_period=1)
tracker.start_training()
for epoch in range(int(sys.argv[2])):
    tracker.new_epoch({"loss": 0.5, "note": "x" * (epoch % 7) * 100})
tracker.stop_training()
"""


def started(folder: Path, *args: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", EPOCHS_OF_ONE, *map(str, args)], cwd=folder, env=environment("ours", folder)
    )


def test_no_row_of_eight_writers_is_lost(tmp_path: Path) -> None:
    writers = [started(tmp_path, number, EPOCHS) for number in range(WRITERS)]
    assert [writer.wait(120) for writer in writers] == [0] * WRITERS
    found = rows(tmp_path / "emission.csv")
    assert len(found) == WRITERS * EPOCHS
    for number in range(WRITERS):
        mine = [row["epoch"] for row in found if row["project_name"] == f"p{number}"]
        assert [cell.split(",")[0] for cell in mine] == [f"epoch: {epoch}" for epoch in range(1, EPOCHS + 1)]
    frame = sums(theirs, tmp_path / "emission.csv")
    assert len(frame) == WRITERS + 1
    pd.testing.assert_frame_equal(frame, sums(ours, tmp_path / "emission.csv"))


def test_a_run_that_is_killed_keeps_its_row(tmp_path: Path) -> None:
    script = """
import time
from eco2ai_callbacks import eco2ai
tracker = eco2ai.Tracker(project_name="killed", file_name="emission.csv", alpha_2_code="FR", measure_period=0.1)
tracker.start()
time.sleep(100)
"""
    path = tmp_path / "emission.csv"
    for number in range(3):
        writer = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment("ours", tmp_path))
        while not path.exists() or len(rows(path)) <= number or float(rows(path)[-1]["duration(s)"]) < 0.5:
            time.sleep(0.01)
        writer.send_signal((signal.SIGKILL, signal.SIGTERM)[number % 2])
        writer.wait(30)
    # It goes on below them, and so does eco2AI.
    measure(theirs, path, "theirs")
    measure(ours, path, "ours")
    assert [row["project_name"] for row in rows(path)] == ["killed"] * 3 + ["theirs", "ours"]
    frame = sums(theirs, path)
    pd.testing.assert_frame_equal(frame, sums(ours, path))
    assert frame["total duration(s)"].iloc[0] > 1.5


def test_a_row_that_eco2ai_has_moved_is_not_counted_twice(tmp_path: Path) -> None:
    script = """
import os, time
from eco2ai_callbacks import eco2ai
tracker = eco2ai.Tracker(project_name="ours", file_name="emission.csv", alpha_2_code="FR", measure_period=0.1)
tracker.start()
while not os.path.exists("end"):
    time.sleep(0.01)
tracker.stop()
"""
    path = tmp_path / "emission.csv"
    writer = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment("ours", tmp_path))
    while not path.exists() or not rows(path):
        time.sleep(0.01)
    # It stands still meanwhile: eco2AI takes back what others write while it writes the whole file.
    writer.send_signal(signal.SIGSTOP)
    measure(theirs, path, "theirs")
    writer.send_signal(signal.SIGCONT)
    while len(rows(path)) < 3:
        time.sleep(0.01)
    (tmp_path / "end").touch()
    assert writer.wait(60) == 0
    (stop,) = [record for record in records(path.with_suffix(".jsonl")) if record.event == "stop"]
    mine = [row for row in rows(path) if row["project_name"] == "ours"]
    assert [row["id"] for row in mine] == [stop.run] * 2
    assert sum(float(row["duration(s)"]) for row in mine) == pytest.approx(stop.seconds)
    assert sum(float(row["power_consumption(kWh)"]) for row in mine) == pytest.approx(stop.energy_kwh)
    pd.testing.assert_frame_equal(sums(theirs, path), sums(ours, path))


def killed(folder: Path) -> Iterator[int]:
    """Kill writers at random moments while they write, two at a time, and say of each how many rows there were."""
    moments = random.Random(7)
    path = folder / "emission.csv"
    for number in range(5):
        before = len(rows(path)) if path.exists() else 0
        writers = [started(folder, f"{number}-{each}", 100_000) for each in range(2)]
        while not path.exists() or len(path.read_bytes().splitlines()) < before + 20:
            time.sleep(0.01)
        for writer in writers:
            time.sleep(moments.uniform(0, 0.2))
            writer.send_signal(signal.SIGKILL)
        assert [writer.wait(30) for writer in writers] == [-signal.SIGKILL] * 2
        yield len(rows(path)) - before


def test_a_kill_at_any_moment_leaves_whole_rows_and_a_whole_log(tmp_path: Path) -> None:
    assert all(count >= 19 for count in killed(tmp_path))
    measure(ours, tmp_path / "emission.csv", "after")
    found = rows(tmp_path / "emission.csv")
    assert all(None not in row and None not in row.values() for row in found)
    pd.testing.assert_frame_equal(sums(theirs, tmp_path / "emission.csv"), sums(ours, tmp_path / "emission.csv"))
    log = tmp_path / "emission.jsonl"
    assert not verify([log], None).faults
    # What is in the CSV is in the log; the last epoch of each that was killed may be in the log alone.
    written = [record for record in records(log) if record.event == "epoch"]
    assert 0 <= len(written) - sum(row["epoch"] != "N/A" for row in found) <= 10
    assert json.loads(log.read_text().splitlines()[-1])["ended"] == "finished"
