"""The Hugging Face adapter, through real Trainers."""

from __future__ import annotations

import copy
import json
import pickle
import sys
import time
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from known_work import KnownWork, platform
from logcheck import by_run, by_writer, check_whole, epochs, rows, rows_so_far, stage_sum

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from transformers import Trainer, TrainerCallback, TrainingArguments

from eco2ai_callbacks import load
from eco2ai_callbacks.session.lifetime import LOOK_S
from eco2ai_callbacks.sinks.console import amount
from eco2ai_callbacks.transformers import Eco2AICallback

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::eco2ai_callbacks"),
]

TRAIN_KEYS = {"eco2ai/energy_kwh", "eco2ai/co2_kg", "eco2ai/total_energy_kwh", "eco2ai/total_co2_kg"}


class Texts(torch.utils.data.Dataset):  # type: ignore[misc]
    def __init__(self, size: int = 64) -> None:
        generator = torch.Generator().manual_seed(0)
        self.ids = torch.randint(0, 50, (size, 12), generator=generator)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.ids[index], "labels": self.ids[index][0] % 2}


class Failing(Texts):
    """Raises the user's own exception, once, at its n-th item."""

    def __init__(self, at: int, error: BaseException, size: int = 64) -> None:
        super().__init__(size)
        self.left = at
        self.error = error

    def __getitem__(self, index: int) -> dict[str, Any]:
        self.left -= 1
        if self.left == 0:
            raise self.error
        return super().__getitem__(index)


def model() -> Any:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    return transformers.BertForSequenceClassification(config)


def trainer(callbacks: list[Any], data: Any = None, model_: Any = None, **kwargs: Any) -> Any:
    defaults: dict[str, Any] = {
        "output_dir": "out",
        "num_train_epochs": 2,
        "per_device_train_batch_size": 8,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "use_cpu": True,
    }
    args = TrainingArguments(**{**defaults, **kwargs})
    return Trainer(model_ or model(), args, train_dataset=data or Texts(), eval_dataset=Texts(16), callbacks=callbacks)


def our_rows(fit: Any) -> list[dict[str, Any]]:
    return [row for row in fit.state.log_history if "eco2ai/energy_kwh" in row]


class Reporter(TrainerCallback):  # type: ignore[misc]
    """Keeps what a reporter is given."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        self.seen.append(dict(logs))


@pytest.mark.extra
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_each_epoch_logs_what_the_run_log_holds(first: bool) -> None:
    reporter, ours = Reporter(), Eco2AICallback(region="FR")
    fit = trainer([ours, reporter] if first else [reporter, ours], eval_strategy="epoch", logging_strategy="epoch")
    metrics = fit.train().metrics
    run = rows()
    check_whole(run)
    found = our_rows(fit)
    assert [row["epoch"] for row in found] == [1.0, 2.0]
    for row, record in zip(found, epochs(run), strict=True):
        assert row.keys() >= TRAIN_KEYS
        assert row["eco2ai/energy_kwh"] == record["epoch_total"]["energy_kwh"]
        assert row["eco2ai/co2_kg"] == record["epoch_total"]["co2_kg"]
        assert row["eco2ai/total_energy_kwh"] == record["total"]["energy_kwh"]
        assert row["eco2ai/total_co2_kg"] == record["total"]["co2_kg"]
    evaluations = [row for row in fit.state.log_history if "eval_loss" in row]
    for epoch, row in enumerate(evaluations):
        assert row["eval_eco2ai/energy_kwh"] == stage_sum(run, "validate", epoch)
        assert row["eval_eco2ai/co2_kg"] == stage_sum(run, "validate", epoch, "co2_kg")
    losses = [row for row in fit.state.log_history if "loss" in row]
    for epoch, both in zip(load("eco2ai.jsonl")[0].epochs, zip(losses, evaluations, strict=True), strict=True):
        logged = {n: v for row in both for n, v in row.items() if n not in ("epoch", "step") and "eco2ai/" not in n}
        assert epoch.metrics == logged
        assert {"loss", "eval_loss"} <= logged.keys()
    closing = next(row for row in fit.state.log_history if "train_runtime" in row)
    assert closing["eco2ai/total_energy_kwh"] == run[-2]["total"]["energy_kwh"]
    assert metrics["eco2ai/total_co2_kg"] == run[-2]["total"]["co2_kg"]
    seen = [row for row in reporter.seen if "eco2ai/energy_kwh" in row]
    assert [row["eco2ai/energy_kwh"] for row in seen] == [row["eco2ai/energy_kwh"] for row in found]
    assert sum("eval_eco2ai/energy_kwh" in row for row in reporter.seen) == 2
    assert sum("train_runtime" in row and "eco2ai/total_co2_kg" in row for row in reporter.seen) == 1


def test_the_loss_row_of_each_epoch_is_still_logged() -> None:
    fit = trainer([Eco2AICallback()], logging_strategy="epoch")
    fit.train()
    assert sum("loss" in row for row in fit.state.log_history) == 2


def test_the_reporters_of_report_to_get_the_scalars() -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit = trainer([Eco2AICallback()], report_to=["tensorboard"], eval_strategy="epoch")
    fit.train()
    folders = {str(path.parent) for path in Path().rglob("events.out.tfevents.*")}
    assert len(folders) == 1
    assert len(list(Path(folders.copy().pop()).glob("events.out.*"))) == 1
    events = EventAccumulator(folders.pop())
    events.Reload()
    wanted = [row["eco2ai/energy_kwh"] for row in our_rows(fit)]
    assert [e.value for e in events.Scalars("train/eco2ai/energy_kwh")] == pytest.approx(wanted, rel=1e-6)
    assert len(events.Scalars("eval/eco2ai/energy_kwh")) == 2


@pytest.mark.extra
def test_report_to_names_it() -> None:
    fit = trainer([], report_to=["eco2ai"])
    fit.train()
    check_whole(rows())
    assert len(our_rows(fit)) == 2


@pytest.mark.extra
def test_all_reporters_include_it_once_its_module_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    utils = transformers.integrations.integration_utils
    assert utils.get_available_reporting_integrations().count("eco2ai") == 1
    others = [name for name in utils.get_available_reporting_integrations() if name != "eco2ai"]
    for name in others:  # those that are installed here may report over a network
        monkeypatch.setitem(utils.INTEGRATION_TO_CALLBACK, name, Reporter)
    fit = trainer([], report_to="all")
    assert sum(isinstance(each, Eco2AICallback) for each in fit.callback_handler.callbacks) == 1
    fit.train()
    check_whole(rows())
    assert len(our_rows(fit)) == 2


def test_named_and_given_it_counts_once_with_the_given_settings() -> None:
    fit = trainer([Eco2AICallback(project="given")], report_to=["eco2ai"], eval_strategy="epoch")
    fit.train()
    fit.evaluate()
    assert len(our_rows(fit)) == 2
    assert {row["project"] for row in rows()} == {"given"}
    assert len(by_run(rows())) == 1
    check_whole(rows())


def test_an_instance_by_class_or_added_later_works() -> None:
    fit = trainer([Eco2AICallback])
    fit.train()
    assert len(our_rows(fit)) == 2
    later = trainer([], num_train_epochs=1)
    later.add_callback(Eco2AICallback())
    later.train()
    assert len(our_rows(later)) == 1


class Counts(TrainerCallback):  # type: ignore[misc]
    """Keeps the names of the events that it gets, and of all that stand beside it in one list."""

    def __init__(self, calls: list[tuple[Any, str]]) -> None:
        self.calls = calls

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.calls.append((self, "on_train_begin"))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.calls.append((self, "on_step_end"))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.calls.append((self, "on_train_end"))


class CountedOurs(Eco2AICallback):  # type: ignore[misc]
    begun = 0

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self.begun += 1
        super().on_train_begin(*args, **kwargs)


class OwnFlow(transformers.DefaultFlowCallback):  # type: ignore[misc]
    """A flow of the user's."""


class ForeignFlow(TrainerCallback):  # type: ignore[misc]
    """A flow of the user's that inherits nothing: it evaluates and saves at fixed steps."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_evaluate = control.should_save = control.should_log = state.global_step in (5, 12)
        control.should_training_stop = state.global_step >= state.max_steps


class Leaves(TrainerCallback):  # type: ignore[misc]
    """Takes itself off the list where a training begins."""

    def __init__(self) -> None:
        self.fit: Any = None
        self.begun = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.begun += 1
        self.fit.remove_callback(self)


def flow_last(fit: Any, flow: Any) -> None:
    fit.remove_callback(transformers.DefaultFlowCallback)
    fit.add_callback(flow)


ARRANGED: dict[str, Any] = {
    "flow behind all": lambda fit, first: flow_last(fit, OwnFlow),
    "a flow of another kind behind all": lambda fit, first: flow_last(fit, ForeignFlow()),
    "another in front of the flow": lambda fit, first: fit.callback_handler.callbacks.insert(0, first),
    "ours in front of the flow": lambda fit, first: fit.callback_handler.callbacks.insert(
        0, fit.pop_callback(CountedOurs)
    ),
    "as it comes": lambda fit, first: None,
}


@pytest.mark.parametrize("arrange", ARRANGED.values(), ids=list(ARRANGED))
def test_every_callback_is_called_once_in_the_users_order_wherever_the_flow_stands(arrange: Any) -> None:
    class Evaluated(Texts):
        """Keeps the records that are in the log when an evaluation takes its first item."""

        def __getitem__(self, index: int) -> dict[str, Any]:
            if index == 0:
                seen.append([row["stage"] for row in rows() if row["event"] == "stage"])
            return super().__getitem__(index)

    seen: list[list[str]] = []
    calls: list[tuple[Any, str]] = []
    ours, leaves, first = CountedOurs(), Leaves(), Counts(calls)
    one, two = Counts(calls), Counts(calls)
    fit = trainer([one, ours, leaves, two], eval_strategy="steps", eval_steps=5, save_strategy="steps", save_steps=5)
    fit.eval_dataset = Evaluated(16)
    leaves.fit = fit
    arrange(fit, first)
    fit.train()
    assert fit.state.global_step == 16
    order = [first] * (first in fit.callback_handler.callbacks) + [one, two]
    for event, times in (("on_train_begin", 1), ("on_step_end", 16), ("on_train_end", 1)):
        assert [each for each, name in calls if name == event] == order * times
    assert ours.begun == leaves.begun == 1
    check_whole(rows())
    assert len(by_run(rows())) == 1
    assert len(epochs(rows())) == 2
    # The training before an evaluation is closed before the evaluation begins, not at its first step's end.
    assert [stages[-1] for stages in seen] == ["train"] * len(seen)
    assert len(seen) >= 2
    evaluations = [row for row in fit.state.log_history if "eval_loss" in row]
    assert all(row["eval_eco2ai/energy_kwh"] > 0 for row in evaluations)

    again = trainer([Eco2AICallback()], num_train_epochs=3)
    again.train(resume_from_checkpoint=sorted(str(path) for path in Path("out").glob("checkpoint-*"))[-1])
    assert len(by_run(rows())) == 1, "the checkpoint does not name the run"


def test_reporters_get_the_figures_of_rows_also_where_the_flow_stands_last() -> None:
    reporter = Reporter()
    fit = trainer([reporter, Eco2AICallback()], eval_strategy="epoch")
    flow_last(fit, OwnFlow)
    fit.train()
    assert sum("eval_eco2ai/energy_kwh" in row for row in reporter.seen) == 2
    assert sum("train_runtime" in row and "eco2ai/total_co2_kg" in row for row in reporter.seen) == 1


def test_without_a_flow_callback_a_training_is_measured_as_it_runs() -> None:
    calls: list[tuple[Any, str]] = []
    ours, other = CountedOurs(), Counts(calls)
    fit = trainer([ours, other])
    fit.remove_callback(transformers.DefaultFlowCallback)
    fit.train()
    assert fit.state.global_step == 16
    assert ours.begun == 1
    assert [each for each, name in calls if name == "on_train_begin"] == [other]
    check_whole(rows())
    assert len(our_rows(fit)) == 2


def test_several_trainings_do_not_change_the_users_order() -> None:
    calls: list[tuple[Any, str]] = []
    one, two = Counts(calls), Counts(calls)
    fit = trainer([one, Eco2AICallback(), two], num_train_epochs=1)
    for _ in range(3):
        fit.train()
    assert [each for each, name in calls if name == "on_train_begin"] == [one, two] * 3
    assert sum(type(each).__name__ == "LastCallback" for each in fit.callback_handler.callbacks) == 1
    assert len(by_run(rows())) == 3


def test_several_evaluations_an_epoch_are_never_mixed_into_training() -> None:
    fit = trainer([Eco2AICallback()], eval_strategy="steps", eval_steps=4)
    fit.train()
    run = rows()
    check_whole(run)
    evaluations = [row for row in fit.state.log_history if "eval_loss" in row]
    assert len(evaluations) == 4
    marks = [row for row in run if row["stage"] == "validate"]
    logged = [epoch.metrics["eval_loss"] for epoch in load("eco2ai.jsonl")[0].epochs]
    assert logged == [row["eval_loss"] for row in evaluations][1::2]
    assert [row["eval_eco2ai/energy_kwh"] for row in evaluations] == [mark["energy_kwh"] for mark in marks]
    assert [mark["epoch"] for mark in marks] == [0, 0, 1, 1]
    assert len(epochs(run)) == 2


def test_best_model_can_be_chosen_by_energy() -> None:
    fit = trainer(
        [Eco2AICallback()],
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="eval_eco2ai/energy_kwh",
        greater_is_better=False,
    )
    fit.train()
    assert fit.state.best_metric == min(
        row["eval_eco2ai/energy_kwh"] for row in fit.state.log_history if "eval_eco2ai/energy_kwh" in row
    )


@pytest.mark.parametrize(
    ("kwargs", "count"),
    [
        ({"max_steps": 12}, 2),
        ({"gradient_accumulation_steps": 4}, 2),
        ({"dataloader_num_workers": 2}, 2),
        ({"logging_steps": 1}, 2),
        ({"num_train_epochs": 1.5}, 2),
    ],
    ids=["max_steps in mid-epoch", "accumulation", "workers", "each step logged", "a half epoch"],
)
def test_epochs_are_whole_whatever_ends_them(kwargs: Any, count: int) -> None:
    fit = trainer([Eco2AICallback()], **kwargs)
    fit.train()
    check_whole(rows())
    assert [row["epoch"] for row in epochs(rows())] == list(range(count))
    assert len(our_rows(fit)) == count


def test_a_dataset_without_a_length_is_no_hindrance() -> None:
    class Endless(torch.utils.data.IterableDataset):  # type: ignore[misc]
        def __iter__(self) -> Any:
            return (Texts()[index] for index in range(40))

    fit = trainer([Eco2AICallback()], data=Endless(), max_steps=12)
    fit.train()
    check_whole(rows())
    assert [row["epoch"] for row in epochs(rows())] == [0, 1, 2]


def test_a_stream_without_an_end_has_rows_and_forecasts_by_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eco2ai_callbacks.metrics.figures.LOOK_S", 0.0)

    class Stream(torch.utils.data.IterableDataset):  # type: ignore[misc]
        def __iter__(self) -> Any:
            while True:
                yield Texts()[0]

    fit = trainer([Eco2AICallback(every_n_steps=8, gpus=())], data=Stream(), max_steps=20)
    fit.train()
    check_whole(rows())
    assert [row["epoch"] for row in epochs(rows())] == [0]
    windows = [tuple(row["steps"]) for row in rows() if row["steps"]]
    assert windows == [(8, 8, 64, None), (16, 8, 64, None), (20, 4, 32, None)]
    assert [row["step"] for row in fit.state.log_history if "eco2ai/step_j_per_step" in row] == [8, 16]
    told = [row["metrics"] for row in rows() if row["event"] == "forecast"]
    assert {(each["epochs"], each["planned"]) for each in told} == {(0, 20)}


def test_the_search_for_a_batch_size_is_one_run_whose_first_try_counts() -> None:
    data = Failing(40, RuntimeError("CUDA out of memory."))
    fit = trainer([Eco2AICallback()], data=data, auto_find_batch_size=True)
    fit.train()
    run = rows()
    assert len(by_run(run)) == 1
    check_whole(run)
    assert [(row["epoch"], row["attempt"]) for row in epochs(run)] == [(0, 2), (1, 1)]
    first = [row for row in run if row["epoch"] == 0 and row["attempt"] == 1]
    assert first, "what the failed try had used is lost"


@pytest.mark.parametrize("error", [RuntimeError("the user's own"), KeyboardInterrupt()])
def test_what_was_used_until_an_exception_is_in_the_log(error: BaseException) -> None:
    ours = Eco2AICallback()
    with pytest.raises(type(error)) as raised:
        trainer([ours], data=Failing(100, error)).train()
    assert raised.value is error
    deadline = time.monotonic() + 20
    while rows_so_far()[-1]["event"] != "stop" and time.monotonic() < deadline:
        time.sleep(0.05)
    run = rows()
    check_whole(run)
    assert run[-1]["ended"] == "interrupted"
    assert len(epochs(run)) == 1


def test_a_fit_after_a_failed_fit_closes_that_and_is_counted_by_itself() -> None:
    ours = Eco2AICallback()
    with pytest.raises(RuntimeError):
        trainer([ours], data=Failing(100, RuntimeError("first"))).train()
    trainer([ours]).train()
    failed, good = by_run(rows()).values()
    assert failed[-1]["ended"] == "interrupted"
    assert good[-1]["ended"] == "finished"
    check_whole(rows())


def test_a_failed_fit_in_a_notebook_does_not_go_on_counting() -> None:
    """The exception is caught and the process lives on, busy with other things."""
    with pytest.raises(RuntimeError):
        trainer([Eco2AICallback()], data=Failing(100, RuntimeError("first"))).train()
    failed = time.time()
    busy = time.process_time() + LOOK_S + 2
    while time.process_time() < busy:
        pass
    last = rows()[-1]
    assert last["event"] == "stop"
    counted_until = datetime.fromisoformat(last["start"]).timestamp() + last["seconds"]
    assert counted_until < failed + LOOK_S + 1, "time after the failure was counted"


def test_evaluation_and_prediction_alone_join_the_last_run() -> None:
    fit = trainer([Eco2AICallback()])
    fit.train()
    metrics = fit.evaluate()
    predicted = fit.predict(Texts(16)).metrics
    found = rows()
    check_whole(found)
    assert not [row for row in found if row["event"] == "metrics"], "no epoch has logged anything"
    assert len(by_run(found)) == 1
    assert metrics["eval_eco2ai/energy_kwh"] == stage_sum(found, "validate", None)
    assert predicted["test_eco2ai/energy_kwh"] == stage_sum(found, "predict", None)
    assert [session[-1]["event"] for session in by_writer(found)] == ["stop"] * 3


def test_evaluation_between_two_fits_belongs_to_the_first() -> None:
    fit = trainer([Eco2AICallback()], num_train_epochs=1)
    fit.train()
    fit.evaluate()
    fit.train()
    runs = list(by_run(rows()).values())
    assert len(runs) == 2
    assert sum(row["stage"] == "validate" for row in runs[0]) == 1
    check_whole(rows())


def test_evaluation_before_any_fit_opens_a_run_of_its_own() -> None:
    trainer([Eco2AICallback()]).evaluate()
    check_whole(rows())
    assert [row["stage"] for row in rows() if row["event"] == "stage"] == ["validate"]


@pytest.mark.extra
def test_a_resumed_fit_goes_on_with_its_run_and_nothing_is_counted_twice() -> None:
    fit = trainer([Eco2AICallback()], save_strategy="epoch", num_train_epochs=2)
    fit.train()
    again = trainer([Eco2AICallback()], save_strategy="epoch", num_train_epochs=4)
    again.train(resume_from_checkpoint=True)
    found = rows()
    assert len(by_run(found)) == 1
    check_whole(found)
    assert [row["epoch"] for row in epochs(found)] == [0, 1, 2, 3]
    assert found[-1]["total"]["energy_kwh"] == pytest.approx(
        sum(row["energy_kwh"] for row in found if row["event"] in ("epoch", "stage", "stop")), rel=1e-9
    )


@pytest.mark.parametrize("restore", [True, False])
def test_a_resume_restores_with_and_without_callback_states(restore: bool) -> None:
    trainer([Eco2AICallback()], save_strategy="epoch").train()
    again = trainer(
        [Eco2AICallback(project="second")],
        save_strategy="epoch",
        num_train_epochs=3,
        restore_callback_states_from_checkpoint=restore,
    )
    again.train(resume_from_checkpoint=True)
    assert len(by_run(rows())) == 1
    assert rows()[-1]["project"] == "second"


def test_a_checkpoint_of_a_training_without_us_resumes_with_us_and_the_reverse() -> None:
    trainer([], save_strategy="epoch").train()
    trainer([Eco2AICallback()], save_strategy="epoch", num_train_epochs=3).train(resume_from_checkpoint=True)
    assert [row["epoch"] for row in epochs(rows())] == [2]
    trainer([], save_strategy="epoch", num_train_epochs=4).train(resume_from_checkpoint=True)
    assert json.loads(Path("out/checkpoint-32/trainer_state.json").read_text())["global_step"] == 32


def test_a_checkpoint_knows_the_total_where_the_log_is_lost() -> None:
    trainer([Eco2AICallback()], save_strategy="epoch").train()
    saved = epochs(rows())[-1]["total"]["energy_kwh"]
    Path("eco2ai.jsonl").unlink()
    trainer([Eco2AICallback()], save_strategy="epoch", num_train_epochs=3).train(resume_from_checkpoint=True)
    assert rows()[0]["carried"]["energy_kwh"] == pytest.approx(saved, rel=1e-12)


@pytest.mark.extra
def test_one_line_is_printed_unless_transformers_is_told_to_be_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    trainer([Eco2AICallback(region="FR")]).train()
    assert sum(line.startswith("eco2ai: ") for line in capsys.readouterr().err.splitlines()) == 1
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    try:
        trainer([Eco2AICallback(region="FR")]).train()
    finally:
        transformers.utils.logging.set_verbosity(verbosity)
    assert "eco2ai: " not in capsys.readouterr().err


@pytest.mark.parametrize("eval_strategy", ["no", "epoch"])
def test_a_notebooks_table_shows_the_trainings_energy(eval_strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    display = ModuleType("IPython.display")
    display.HTML, display.display = str, lambda *args, **kwargs: None  # type: ignore[attr-defined]
    for name, module in (("IPython", ModuleType("IPython")), ("IPython.display", display)):
        monkeypatch.setitem(sys.modules, name, module)
    sys.modules["IPython"].display = display  # type: ignore[attr-defined]
    monkeypatch.delitem(sys.modules, "transformers.utils.notebook", raising=False)
    from transformers.utils.notebook import NotebookProgressCallback

    tables = []

    class Keeps(NotebookProgressCallback):  # type: ignore[misc]
        def on_train_end(self, *args: Any, **kwargs: Any) -> None:
            tables.append(self.training_tracker.inner_table)
            super().on_train_end(*args, **kwargs)

    fit = trainer([Eco2AICallback(), Keeps], eval_strategy=eval_strategy, logging_strategy="epoch")
    fit.remove_callback(transformers.PrinterCallback)
    fit.train()
    columns, *lines = tables[0]
    assert columns[:2] == ["Step" if eval_strategy == "no" else "Epoch", "Training Loss"]
    at = columns.index("Energy")
    assert [line[at] for line in lines] == [amount(row["eco2ai/energy_kwh"] * 1e3, "Wh") for row in our_rows(fit)]
    assert [isinstance(line[1], float) for line in lines] == [True, True]
    assert not rows()[-1]["failures"]


def test_printed_metrics_in_watt_hours_are_not_zero() -> None:
    fit = trainer([Eco2AICallback(units="Wh")], eval_strategy="epoch")
    metrics = fit.train().metrics
    energy = rows()[-2]["total"]["energy_kwh"]
    assert metrics["eco2ai/total_energy_wh"] == pytest.approx(energy * 1e3, rel=1e-12)
    assert not [name for row in fit.state.log_history for name in row if name.endswith(("_kwh", "_kg"))]
    assert all(row["eval_eco2ai/energy_wh"] > 0 for row in fit.state.log_history if "eval_loss" in row)


def test_a_reporter_that_fails_on_our_row_does_not_stop_the_training() -> None:
    class Broken(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if "eco2ai/energy_kwh" in logs:
                raise OSError("no route to the server")

    fit = trainer([Broken(), Eco2AICallback()])
    fit.train()
    assert fit.state.global_step == 16
    assert any("no route to the server" in failure for failure in rows()[-1]["failures"])


def test_the_training_itself_is_unchanged() -> None:
    weights = []
    for callbacks in ([], [Eco2AICallback()]):
        one = model()
        trainer(callbacks, model_=one, eval_strategy="epoch", seed=3).train()
        weights.append({name: value.clone() for name, value in one.state_dict().items()})
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_used_callback_pickles_and_copies_without_what_is_live() -> None:
    ours = Eco2AICallback(project="mine")
    trainer([ours], num_train_epochs=1).train()
    for copied in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        trainer([copied], num_train_epochs=1).train()
    assert {row["project"] for row in rows()} == {"mine"}
    assert len(by_run(rows())) == 3


@pytest.mark.extra
def test_the_phases_of_a_training_are_what_it_did_and_steps_have_rows() -> None:
    work, reporter = KnownWork(), Reporter()
    ours = Eco2AICallback.on_platform(platform(), region="FR", scalars="all", every_n_steps=4)

    class Slow(torch.utils.data.Dataset):  # type: ignore[misc]
        def __init__(self, pause_s: float, size: int) -> None:
            self.pause_s, self.size = pause_s, size

        def __len__(self) -> int:
            return self.size

        def __getitem__(self, index: int) -> dict[str, Any]:
            work.sleep("data", self.pause_s) if self.pause_s else None
            return {"x": torch.ones(4), "labels": torch.ones(1)}

    class Small(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def forward(self, x: Any, labels: Any) -> dict[str, Any]:
            out = self.layer(x)
            return {"loss": (out - labels).square().mean(), "logits": out}

    class Steps(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            work.stepped = True

    class Logs(TrainerCallback):  # type: ignore[misc]
        def on_log(self, *args: Any, logs: Any, **kwargs: Any) -> None:
            if "loss" in logs:
                work.sleep("logging", 0.1)

    class Works(Trainer):  # type: ignore[misc]
        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            work.burn("train", 0.03)
            with ours.phase("augment"):
                work.burn("augment", 0.03)
            return super().training_step(*args, **kwargs)

        def prediction_step(self, *args: Any, **kwargs: Any) -> Any:
            work.burn("validation", 0.1)
            return super().prediction_step(*args, **kwargs)

        def _save(self, *args: Any, **kwargs: Any) -> None:
            work.sleep("checkpoint", 0.2)
            super()._save(*args, **kwargs)

    args = TrainingArguments(
        output_dir="out",
        num_train_epochs=2,
        per_device_train_batch_size=2,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        eval_strategy="epoch",
        save_strategy="steps",
        save_steps=6,
        logging_steps=6,
    )
    listed = [ours, Logs(), Steps(), reporter]
    fit = Works(Small(), args, train_dataset=Slow(0.02, 20), eval_dataset=Slow(0.0, 16), callbacks=listed)
    fit.train()
    found = work.check()
    assert found.keys() == {"setup", "data", "train", "augment", "validation", "checkpoint", "logging", "other"}
    assert set(work.wall) == found.keys() - {"setup", "other"}
    names = {f"eco2ai/phase_{name}_{part}" for name in found for part in ("seconds", "kwh")}
    assert all(names <= row.keys() for row in our_rows(fit))
    steps = [row for row in fit.state.log_history if "eco2ai/step_j_per_step" in row]
    assert [row["step"] for row in steps] == [4, 8, 14, 18]
    assert [row for row in reporter.seen if "eco2ai/step_j_per_step" in row] == [
        {name: value for name, value in row.items() if name != "step"} for row in steps
    ]
    assert [tuple(row["steps"]) for row in rows() if row["steps"]] == [
        *((4, 4, 8, None), (8, 4, 8, None), (10, 2, 4, None)),
        *((14, 4, 8, None), (18, 4, 8, None), (20, 2, 4, None)),
    ]
    with ours.phase("after"):
        pass  # no training runs, so it counts nothing
