"""The tracker for Accelerate, through real loops."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from logcheck import check_whole, epochs, rows, stage_sum

torch = pytest.importorskip("torch")
accelerate = pytest.importorskip("accelerate")

from accelerate.tracking import GeneralTracker

import eco2ai_callbacks.accelerate
from eco2ai_callbacks.accelerate import PATIENCE_S, Eco2AITracker, measure_every_process
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.runlog.aggregate import jobs
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.session.context import RunContext

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::eco2ai_callbacks"),
]


# Whether this Accelerate takes trackers of others by their names.
NAMES = hasattr(accelerate.tracking, "register_tracker_class")


class Keeps(GeneralTracker):  # type: ignore[misc]
    """Another tracker, which keeps the rows that it is told."""

    name = "keeps"
    requires_logging_directory = False

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, Any]] = []

    @property
    def tracker(self) -> list[dict[str, Any]]:
        return self.seen

    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        self.seen.append(dict(values))


def loop(log_with: Any, named: Iterable[list[dict[str, Any]]], **kwargs: Any) -> Any:
    """Train an epoch for each list of rows, with a step before each row."""
    accelerator = accelerate.Accelerator(cpu=True, log_with=log_with, **kwargs)
    accelerator.init_trackers("demo", {"lr": 0.1})
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(64, 8)), batch_size=8)
    net = torch.nn.Linear(8, 1)
    net, optimizer, data = accelerator.prepare(net, torch.optim.SGD(net.parameters(), lr=0.1), data)
    step = 0
    for listed in named:
        for row in listed:
            for (batch,) in data:
                loss = net(batch).square().mean()
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
            step += 1
            accelerator.log({"loss": loss.item(), **row}, step=step)
    accelerator.end_training()
    return accelerator


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_a_row_that_names_its_epoch_closes_it_and_takes_its_figures_along(first: bool) -> None:
    keeps, ours = Keeps(), Eco2AITracker(region="FR")
    loop([ours, keeps] if first else [keeps, ours], [[{"epoch": 0}], [{"epoch": 1}], [{"epoch": 2}]])
    found = rows()
    check_whole(found)
    done = epochs(found)
    assert [(row["epoch"], row["attempt"]) for row in done] == [(0, 1), (1, 1), (2, 1)]
    for row, seen in zip(done, keeps.seen, strict=True):
        assert row["metrics"] == {"loss": seen["loss"], "epoch": row["epoch"]}
        assert seen["eco2ai/energy_kwh"] == row["epoch_total"]["energy_kwh"] > 0
        assert seen["eco2ai/co2_kg"] == row["epoch_total"]["co2_kg"]
        assert seen["eco2ai/total_energy_kwh"] == row["total"]["energy_kwh"]
        assert seen["eco2ai/total_co2_kg"] == row["total"]["co2_kg"]
    assert found[-1]["ended"] == "finished"


def test_tensorboard_shows_the_figures() -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loop([Eco2AITracker(), "tensorboard"], [[{"epoch": 0}], [{"epoch": 1}]], project_dir="tb")
    folder = next(path.parent for path in Path("tb").rglob("events.out.tfevents.*") if path.parent.name == "demo")
    events = EventAccumulator(str(folder))
    events.Reload()
    shown = [event.value for event in events.Scalars("eco2ai/energy_kwh")]
    assert shown == pytest.approx([row["epoch_total"]["energy_kwh"] for row in epochs(rows())], rel=1e-6)


def test_rows_of_single_steps_close_an_epoch_when_a_later_one_is_named() -> None:
    loop(Eco2AITracker(), [[{"epoch": epoch}] * 8 for epoch in range(3)])
    found = rows()
    check_whole(found)
    # The first row of all cannot be told from the end of an epoch.
    assert [(row["epoch"], row["attempt"]) for row in epochs(found)] == [(0, 1), (0, 2), (1, 1), (2, 1)]


def test_rows_that_name_parts_of_epochs_count_what_is_done() -> None:
    loop(Eco2AITracker(), [[{"epoch": step / 4}] for step in range(1, 13)])
    found = rows()
    check_whole(found)
    assert [(row["epoch"], row["attempt"]) for row in epochs(found)] == [(0, 1), (1, 1), (2, 1)]


def test_several_rows_at_the_end_of_an_epoch_close_it_once() -> None:
    loop(Eco2AITracker(), [[{"epoch": e}, {"epoch": e, "val_loss": 1.0}, {"epoch": e, "acc": 0.5}] for e in range(3)])
    check_whole(rows())
    assert [(row["epoch"], row["attempt"]) for row in epochs(rows())] == [(0, 1), (1, 1), (2, 1)]


@pytest.mark.parametrize("row", [{}, {"epoch": "first"}, {"epoch": True}, {"epoch": float("nan")}, {"epoch": None}])
def test_rows_without_a_number_of_an_epoch_change_nothing(row: dict[str, Any]) -> None:
    keeps = Keeps()
    loop([Eco2AITracker(), keeps], [[row], [row]])
    check_whole(rows())
    assert [each["event"] for each in rows()] == ["start", "stop"]
    assert not [name for seen in keeps.seen for name in seen if name.startswith("eco2ai/")]


def test_what_json_cannot_hold_is_left_out_of_the_record() -> None:
    loop(Eco2AITracker(), [[{"epoch": 0, "loss": float("nan"), "image": torch.zeros(2), "note": "text"}]])
    assert epochs(rows())[0]["metrics"] == {"epoch": 0, "note": "text"}


def test_the_tracker_underneath_marks_what_the_rows_do_not_say() -> None:
    accelerator = accelerate.Accelerator(cpu=True, log_with=Eco2AITracker())
    accelerator.init_trackers("demo")
    tracker = accelerator.get_tracker("eco2ai").tracker
    assert tracker is accelerator.get_tracker("eco2ai", unwrap=True)
    tracker.enter("validate")
    for _ in range(20):
        torch.randn(300, 300).matmul(torch.randn(300, 300))
    used = tracker.leave()
    accelerator.log({"epoch": 0})
    accelerator.end_training()
    check_whole(rows())
    assert len(epochs(rows())) == 1
    assert stage_sum(rows(), "validate", 0) == used.energy_kwh > 0


def test_its_name_is_enough_where_accelerate_takes_names(monkeypatch: pytest.MonkeyPatch) -> None:
    if not NAMES:
        pytest.skip("this Accelerate takes objects only")
    monkeypatch.setenv("ECO2AI_PROJECT", "from the environment")
    loop("eco2ai", [[{"epoch": 0}]])
    check_whole(rows())
    assert {row["project"] for row in rows()} == {"demo"}


def test_every_process_of_one_is_measured_as_before_with_its_settings() -> None:
    keeps = Keeps()
    accelerator = accelerate.Accelerator(cpu=True, log_with=["eco2ai", keeps] if NAMES else [keeps])
    assert measure_every_process(accelerator, project="one") is accelerator
    accelerator.init_trackers("demo")
    accelerator.log({"epoch": 0})
    accelerator.end_training()
    check_whole(rows())
    assert {row["project"] for row in rows()} == {"one"}
    assert keeps.seen[0]["eco2ai/energy_kwh"] == epochs(rows())[0]["epoch_total"]["energy_kwh"]


def test_settings_for_every_process_belong_to_the_tracker_where_there_is_one() -> None:
    accelerator = accelerate.Accelerator(cpu=True, log_with=Eco2AITracker(region="FR"))
    with pytest.raises(SettingsError, match=r"measure_every_process\(region=...\) is not accepted: the Eco2AITracker"):
        measure_every_process(accelerator, region="DE")
    assert accelerator.log_with[0].tracker.settings.region == "FR"


def test_where_not_every_process_logs_an_epoch_the_others_wait_once_and_write_their_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[float] = []

    def some(wait_s: float) -> None:
        asked.append(wait_s)

    monkeypatch.setattr(eco2ai_callbacks.accelerate, "torch_group", some)
    ours = Eco2AITracker()
    ours.in_every_process(together=True)
    monkeypatch.setattr(ours, "_among_the_processes", lambda: RunContext(rank=(0, 2)))
    ours.begin()
    row: dict[str, Any] = {"epoch": 0}
    ours.log(row)
    ours.log({"epoch": 1})
    ours.finish()
    assert asked == [PATIENCE_S]
    assert row == {"epoch": 0}
    assert [record["epoch"] for record in epochs(rows())] == [0, 1]
    assert rows()[-1]["failures"] == [
        "Accelerate: not every process logs its epochs, so the rows hold no figures of the whole job"
    ]


def test_a_process_that_was_not_initialised_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eco2ai_callbacks.accelerate, "torch_group", lambda **_: pytest.fail("it waits"))
    ours = Eco2AITracker()
    ours.in_every_process(together=True)
    ours.log({"epoch": 0})
    ours.finish()
    assert not Path("eco2ai.jsonl").exists()


def test_settings_are_checked_where_it_is_made() -> None:
    with pytest.raises(SettingsError, match="scope"):
        Eco2AITracker(scope="galaxy")  # type: ignore[arg-type]
    assert not Path("eco2ai.jsonl").exists()


def test_the_processes_that_accelerate_does_not_tell_are_named_in_the_records() -> None:
    ours = Eco2AITracker(region="FR")
    ours.begin(types.SimpleNamespace(num_processes=3))
    ours.finish()
    assert rows()[-1]["failures"] == ["Accelerate: tells its main process only; not measured: 2 of 3 processes"]


# The example with nothing but a second clock around it.
WRAPPED = """
import json, os, runpy, sys, time
from pathlib import Path
from eco2ai_callbacks.accelerate import Eco2AITracker
begin, finish, at = Eco2AITracker.begin, Eco2AITracker.finish, []
def noted_begin(self, accelerator=None):
    begin(self, accelerator)
    at.append(time.process_time())
def noted_finish(self):
    at.append(time.process_time())
    finish(self)
Eco2AITracker.begin, Eco2AITracker.finish = noted_begin, noted_finish
runpy.run_path(sys.argv[1], run_name="__main__")
Path(f"rank{os.environ['RANK']}.json").write_text(json.dumps(at[1] - at[0]))
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)  # the threads of gloo abort now and then at an ordinary exit
"""


def test_accelerate_launch_measures_every_process_with_one_line_and_logs_the_job_s_figures() -> None:
    Path("wrapped.py").write_text(WRAPPED)
    example = Path(__file__).parents[2] / "examples" / "accelerate_loop.py"
    plain = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--multi_gpu", "--num_processes=2"]
    environ = os.environ | {
        "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ECO2AI_POWERCAP_ROOT": "nowhere", "ECO2AI_REGION": "FR"
    }  # fmt: skip
    command = [*launch, *plain, "wrapped.py", str(example)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environ)
    assert done.returncode == 0, done.stderr
    assert verify(Path("eco2ai.jsonl")).whole
    (job,) = jobs(records(Path("eco2ai.jsonl"))).values()
    assert job.said == "2 ranks"
    assert not [row["failures"] for row in rows() if row["failures"]]
    # Each row shows the sum of both processes.
    shown = [float(found) for found in re.findall(r"energy +([\d.]+) µWh", done.stdout)]
    parts = [[row["epoch_total"]["energy_kwh"] for row in epochs(rows()) if row["epoch"] == n] for n in range(4)]
    assert [len(part) for part in parts] == [2] * 4
    assert shown == pytest.approx([sum(part) * 1e9 for part in parts], abs=0.06)
    assert len(re.findall(r"^eco2ai: .* 2 ranks", done.stderr, re.MULTILINE)) == 1
    watts = re.search(r"([\d.]+) W per busy thread", rows()[0]["attribution"]["cpu"])
    assert watts is not None
    cpu_s = sum(json.loads(Path(f"rank{rank}.json").read_text()) for rank in range(2))
    assert job.total.joules["cpu"] / float(watts[1]) == pytest.approx(cpu_s, rel=0.05)


def test_rows_of_steps_close_windows_and_take_their_figures_along() -> None:
    keeps = Keeps()
    loop([Eco2AITracker(every_n_steps=2), keeps], [[{}] * 5, [{"epoch": 0}]])
    shown = [number for number, row in enumerate(keeps.seen, 1) if "eco2ai/step_j_per_step" in row]
    assert shown == [2, 4, 6]
    found = rows()
    check_whole(found)
    assert [tuple(row["steps"]) for row in found if row["steps"]] == [(n, 2, None, None) for n in (2, 4, 6)]
    trained = [row["energy_kwh"] for row in found if (row["stage"], row["epoch"]) == ("train", 0)]
    assert sum(trained) == pytest.approx(epochs(found)[0]["epoch_total"]["energy_kwh"])
