"""Scripts that nobody edits: ``python -m eco2ai_callbacks.<framework> script.py``, in real processes."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from logcheck import by_run, by_writer, check_whole, epochs, rows
from warm import IMPORTS, run_module

from eco2ai_callbacks.integrations.script import launch

pytest.importorskip("torch")

LAUNCHERS = ("lightning", "transformers", "keras", "accelerate")
FRAMEWORKS = [name for name in LAUNCHERS if importlib.util.find_spec(name)]
LIMIT_S = 240


def needs(name: str) -> None:
    if name not in FRAMEWORKS:
        pytest.skip(f"{name} is not installed")


def launched(framework: str, *arguments: str, cold: bool = False, **variables: str) -> Any:
    """Run the launcher to its end, in a process that has imported the framework already or, if cold, in a new one."""
    environ = (
        os.environ | {"ECO2AI_REGION": "FR", "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "torch")} | variables
    )
    module = f"eco2ai_callbacks.{framework}"
    if not cold:
        return run_module(IMPORTS[framework], module, *arguments, environ=environ)
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, env=environ, timeout=LIMIT_S
    )


# --- as python itself would -----------------------------------------------------------------------------------------

LOOK = """
from __future__ import annotations
import json, sys, pickle, inspect
class Mine:
    pass
def mine() -> Undefined: pass
main = sys.modules["__main__"]
print(json.dumps({
    "name": __name__, "file": __file__, "argv": sys.argv, "path": sys.path[0], "spec": __spec__, "package": __package__,
    "main": main.__dict__ is globals(), "pickles": type(pickle.loads(pickle.dumps(Mine()))) is Mine,
    "source": inspect.getsource(mine), "doc": __doc__, "builtins": __builtins__.__name__,
}))
"""


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_script_sees_what_it_would_see_without_us(framework: str) -> None:
    folder = Path("scripts")
    folder.mkdir()
    (folder / "look.py").write_text(LOOK)
    arguments = ("scripts/look.py", "--flag", "-m", "a b")
    plain = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    done = launched(framework, *arguments, cold=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(plain.stdout)


def test_a_module_sees_what_it_would_see_without_us(framework: str) -> None:
    package = Path("pack")
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "train.py").write_text("import sys\nprint(__name__, __spec__.name, __package__, sys.argv, __file__)\n")
    plain = subprocess.run([sys.executable, "-m", "pack.train", "--x"], capture_output=True, text=True)
    done = launched(framework, "-m", "pack.train", "--x")
    assert (done.returncode, done.stdout) == (0, plain.stdout)


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("raise ValueError('the script failed')", 1, "ValueError: the script failed"),
    ],
    ids=["code", "exception"],
)
def test_its_end_is_the_processs_end(body: str, code: int, said: str) -> None:
    Path("ends.py").write_text(body)
    done = launched(FRAMEWORKS[0], "ends.py")
    assert done.returncode == code
    assert said in done.stderr


def test_without_a_script_the_usage_is_shown(framework: str) -> None:
    done = launched(framework)
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: python -m eco2ai_callbacks.{framework} SCRIPT")


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_usage_is_shown_on_demand_and_for_what_cannot_be_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    launch(name, ["--help"])
    usage = capsys.readouterr().out
    assert usage.startswith(f"usage: python -m eco2ai_callbacks.{name} SCRIPT")
    for arguments in ([], ["-m"], ["--other", "x.py"]):
        with pytest.raises(SystemExit) as ended:
            launch(name, arguments)
        assert ended.value.code == 2
        assert capsys.readouterr().err == usage


def test_a_script_that_trains_nothing_is_told_so(framework: str) -> None:
    Path("idle.py").write_text("print('done')")
    done = launched(framework, "idle.py")
    assert (done.returncode, done.stdout) == (0, "done\n")
    said = [line for line in done.stderr.splitlines() if line.startswith("eco2ai: ")]
    assert len(said) == 1
    assert said[0].startswith(f"eco2ai: python -m eco2ai_callbacks.{framework} has measured nothing: no ")


def test_a_script_that_is_not_there_is_said_in_one_line() -> None:
    done = launched(FRAMEWORKS[0], "nowhere.py")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("nowhere.py': [Errno 2] No such file or directory")


def test_processes_that_the_script_spawns_find_its_classes() -> None:
    Path("spawns.py").write_text("""
import multiprocessing
from torch.utils.data import DataLoader
class Numbers:
    def __len__(self): return 8
    def __getitem__(self, index): return index
if __name__ == "__main__":
    spawning = multiprocessing.get_context("spawn")
    print(sorted(int(n) for b in DataLoader(Numbers(), 4, num_workers=1, multiprocessing_context=spawning) for n in b))
""")
    done = launched(FRAMEWORKS[0], "spawns.py", cold=True)
    assert done.stdout == "[0, 1, 2, 3, 4, 5, 6, 7]\n", done.stderr


# --- Hugging Face ---------------------------------------------------------------------------------------------------


GLUE = """
import sys
from dataclasses import dataclass, field
import torch, transformers
from transformers import HfArgumentParser, Trainer, TrainerCallback, TrainingArguments, set_seed
from torch.utils.data import Dataset
@dataclass
class ModelArguments:
    hidden_size: int = field(default=16, metadata={"help": "Width."})
@dataclass
class DataTrainingArguments:
    max_train_samples: int = field(default=32)
class Texts(Dataset):
    def __init__(self, size): self.size = size
    def __len__(self): return self.size
    def __getitem__(self, index): return {"input_ids": torch.full((8,), index % 9), "labels": torch.tensor(index % 2)}
def main():
    parser = HfArgumentParser((ModelArguments, DataTrainingArguments, TrainingArguments))
    model_args, data_args, training_args = parser.parse_args_into_dataclasses()
    set_seed(training_args.seed)
    config = transformers.BertConfig(vocab_size=9, hidden_size=model_args.hidden_size, num_hidden_layers=1,
                                     num_attention_heads=2, intermediate_size=16)
    model = transformers.BertForSequenceClassification(config)
    trainer = TRAINER(model=model, args=training_args, train_dataset=Texts(data_args.max_train_samples),
                      eval_dataset=Texts(8), MORE)
    LATER
    if training_args.do_train:
        metrics = trainer.train().metrics
        trainer.log_metrics("train", metrics)
        trainer.save_metrics("train", metrics)
        trainer.save_state()
    if training_args.do_eval:
        trainer.log_metrics("eval", trainer.evaluate(eval_dataset=Texts(8)))
    print("rows:", sum("eco2ai/energy_kwh" in row for row in trainer.state.log_history))
if __name__ == "__main__":
    main()
"""
GLUE_ARGUMENTS = (
    *("--output_dir", "out", "--do_train", "--do_eval", "--num_train_epochs", "2"),
    *("--save_strategy", "no", "--use_cpu", "True"),
)


def glue(trainer: str = "Trainer", more: str = "", later: str = "pass") -> str:
    script = GLUE.replace("TRAINER", trainer).replace("MORE", more).replace("LATER", later)
    Path("run_glue.py").write_text(script)
    return "run_glue.py"


@pytest.mark.parametrize("report_to", [None, "none", "tensorboard", "eco2ai", "all"])
def test_transformers_scripts_get_the_callback_in_every_trainer(report_to: str | None) -> None:
    needs("transformers")
    if report_to == "tensorboard":
        pytest.importorskip("tensorboard")
    # What reports over a network stays out of "all".
    offline = {"WANDB_MODE": "disabled", "TRACKIO_DIR": "trackio", "COMET_MODE": "disabled", "HF_HUB_OFFLINE": "1"}
    reporting = [] if report_to is None else ["--report_to", report_to]
    done = launched(
        "transformers", glue(), *GLUE_ARGUMENTS, *reporting, ECO2AI_PROJECT="by hand",
        MLFLOW_TRACKING_URI=f"sqlite:///{Path('mlflow.db').absolute()}", DVCLIVE_TEST="true", **offline,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "rows: 2" in done.stdout
    assert "measured nothing" not in done.stderr
    found = rows()
    check_whole(found)
    assert len(epochs(found)) == 2
    assert len(by_run(found)) == 1
    assert {row["project"] for row in found} == {"by hand"}
    if report_to == "tensorboard":
        assert list(Path().rglob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("more", "later"),
    [
        ("callbacks=[Eco2AICallback(project='own')]", "pass"),
        ("", "trainer.add_callback(Eco2AICallback(project='own'))"),
    ],
    ids=["given", "added later"],
)
def test_transformers_scripts_that_have_the_callback_keep_to_their_own(more: str, later: str) -> None:
    needs("transformers")
    imported = "import eco2ai_callbacks.transformers; Eco2AICallback = eco2ai_callbacks.transformers.Eco2AICallback"
    name = glue(more=more, later=later)
    Path(name).write_text(imported + Path(name).read_text())
    done = launched("transformers", name, *GLUE_ARGUMENTS)
    assert done.returncode == 0, done.stderr
    assert "there is already one" not in done.stderr
    check_whole(rows())
    assert {row["project"] for row in rows()} == {"own"}
    assert len(by_run(rows())) == 1


def test_subclasses_of_its_trainer_get_the_callback_too() -> None:
    needs("transformers")
    name = glue("Mine")
    mine = "class Mine(Trainer):\n    def __init__(self, model, **kwargs):\n        super().__init__(model, **kwargs)\n"
    Path(name).write_text(Path(name).read_text().replace("def main():", f"{mine}def main():"))
    done = launched("transformers", name, *GLUE_ARGUMENTS)
    assert done.returncode == 0, done.stderr
    assert len(epochs(rows())) == 2


def torchrun(*arguments: str) -> Any:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meeting = ["--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", port]
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *meeting, *arguments],
        capture_output=True, text=True, env=os.environ | {"ECO2AI_REGION": "FR", "OMP_NUM_THREADS": "1"},
        timeout=LIMIT_S,
    )  # fmt: skip


def test_torchrun_starts_the_launcher_on_every_rank() -> None:
    needs("transformers")
    done = torchrun("-m", "eco2ai_callbacks.transformers", glue(), *GLUE_ARGUMENTS)
    assert done.returncode == 0, done.stderr
    found = rows()
    assert {row["rank"] for row in found} == {0, 1}
    assert {session[-1]["ended"] for session in by_writer(found)} == {"finished"}
    assert len(by_run(found)) == 1
    assert len(epochs(found)) == 4


# --- Accelerate -----------------------------------------------------------------------------------------------------

NO_TRAINER = """
import argparse, torch
from accelerate import Accelerator
parser = argparse.ArgumentParser()
parser.add_argument("--with_tracking", action="store_true")
args = parser.parse_args()
accelerator = Accelerator(cpu=True, **({"log_with": "tensorboard", "project_dir": "tb"} if args.with_tracking else {}))
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(64, 8)), batch_size=8)
net = torch.nn.Linear(8, 1)
net, optimizer, data = accelerator.prepare(net, torch.optim.SGD(net.parameters(), lr=0.1), data)
if args.with_tracking:
    accelerator.init_trackers("no_trainer", {"lr": 0.1})
step = 0
for epoch in range(2):
    for (batch,) in data:
        loss = net(batch).square().mean()
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
    if args.with_tracking:
        accelerator.log({"loss": loss.item(), "epoch": epoch, "step": step}, step=step)
if args.with_tracking:
    accelerator.end_training()
print("trained", step)
"""


@pytest.mark.parametrize("tracking", [True, False], ids=["with tracking", "without"])
def test_accelerate_scripts_get_a_tracker_in_every_accelerator(tracking: bool) -> None:
    pytest.importorskip("accelerate")
    if tracking:
        pytest.importorskip("tensorboard")
    Path("no_trainer.py").write_text(NO_TRAINER)
    done = launched("accelerate", "no_trainer.py", *(["--with_tracking"] if tracking else []))
    assert done.returncode == 0, done.stderr
    assert "trained 16" in done.stdout
    assert "measured nothing" not in done.stderr
    found = rows()
    check_whole(found)
    assert len(by_run(found)) == 1
    assert [row["epoch"] for row in epochs(found)] == ([0, 1] if tracking else [])
    assert found[-1]["ended"] == "finished"
    assert found[-1]["total"]["energy_kwh"] > 0


def test_accelerate_scripts_that_have_a_tracker_keep_to_their_own() -> None:
    pytest.importorskip("accelerate")
    Path("own.py").write_text("""
from accelerate import Accelerator
from eco2ai_callbacks.accelerate import Eco2AITracker
accelerator = Accelerator(cpu=True, log_with=Eco2AITracker(project="own"))
accelerator.init_trackers("demo")
accelerator.log({"epoch": 0})
accelerator.end_training()
""")
    done = launched("accelerate", "own.py")
    assert done.returncode == 0, done.stderr
    assert {row["project"] for row in rows()} == {"own"}
    assert len(by_run(rows())) == 1


def test_several_accelerators_are_one_run_until_one_ends() -> None:
    pytest.importorskip("accelerate")
    Path("several.py").write_text("""
from accelerate import Accelerator
one, two = Accelerator(cpu=True), Accelerator(cpu=True)
one.init_trackers("demo"); two.init_trackers("demo")
one.log({"epoch": 0}); two.end_training()
three = Accelerator(cpu=True)
raise SystemExit(0)
""")
    done = launched("accelerate", "several.py")
    assert done.returncode == 0, done.stderr
    check_whole(rows())
    assert [run[-1]["ended"] for run in by_run(rows()).values()] == ["finished"] * 2


def test_what_an_accelerate_script_has_used_until_its_exception_is_in_the_log() -> None:
    pytest.importorskip("accelerate")
    Path("fails.py").write_text("from accelerate import Accelerator\nAccelerator(cpu=True)\nraise ValueError('own')\n")
    done = launched("accelerate", "fails.py")
    assert done.returncode == 1
    assert "ValueError: own" in done.stderr
    assert rows()[-1]["ended"] == "interrupted"


def test_under_torchrun_every_process_of_an_accelerate_script_writes_its_part_of_one_run() -> None:
    pytest.importorskip("accelerate")
    pytest.importorskip("tensorboard")
    Path("no_trainer.py").write_text(NO_TRAINER)
    done = torchrun("-m", "eco2ai_callbacks.accelerate", "no_trainer.py", "--with_tracking")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained") == 2
    assert "measured nothing" not in done.stderr
    found = rows()
    assert len(by_run(found)) == 1
    for rank in range(2):
        assert [row["epoch"] for row in epochs(found) if row["rank"] == rank] == [0, 1]
    assert {session[-1]["ended"] for session in by_writer(found)} == {"finished"}
    assert not [row["failures"] for row in found if row["failures"]]


# --- Lightning ------------------------------------------------------------------------------------------------------

FIT = """
import importlib, sys, torch
pl = importlib.import_module(PACKAGE)
class Small(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 2)
    def training_step(self, batch, index):
        return self.layer(batch[0]).square().mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
if __name__ == "__main__":
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(32, 8)), batch_size=8)
    options = dict(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=2,
    )
    for _ in range(2):
        trainer = pl.Trainer(**options, **MORE)
        trainer.fit(Small(), data)
        print("has", sorted(key for key in trainer.callback_metrics if key.startswith("eco2ai/")))
"""


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_lightning_scripts_get_the_callback_in_every_trainer(package: str) -> None:
    needs("lightning")
    pytest.importorskip(package.split(".")[0])
    Path("fits.py").write_text(FIT.replace("PACKAGE", repr(package)).replace("MORE", "{}"))
    done = launched("lightning", "fits.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("'eco2ai/energy_kwh'") == 2
    check_whole(rows())
    assert [len(epochs(run)) for run in by_run(rows()).values()] == [2, 2]


def test_lightnings_own_ranks_follow() -> None:
    needs("lightning")
    script = FIT.replace("PACKAGE", "'lightning.pytorch'").replace("MORE", "dict(strategy='ddp', devices=2)")
    Path("ranks.py").write_text(script.replace("range(2)", "range(1)"))
    done = launched("lightning", "ranks.py", cold=True)
    assert done.returncode == 0, done.stderr
    found = rows()
    assert {row["rank"] for row in found} == {0, 1}
    for session in by_writer(found):
        assert sum(row["event"] == "epoch" for row in session) == 2
        assert session[-1]["ended"] == "finished"


# --- Keras ----------------------------------------------------------------------------------------------------------

MODEL = """
import numpy as np, keras
x, y = np.random.rand(64, 4).astype("float32"), np.random.randint(0, 2, 64)
class Overrides(keras.Model):
    def __init__(self):
        super().__init__()
        self.layer = keras.layers.Dense(2, activation="softmax")
    def call(self, inputs): return self.layer(inputs)
    def fit(self, *args, **kwargs):
        print("own fit")
        return super().fit(*args, **kwargs)
class Loops(Overrides):
    def fit(self, x, y, epochs):
        callbacks = keras.callbacks.CallbackList(model=self, epochs=epochs)
        callbacks.on_train_begin()
        for epoch in range(epochs):
            callbacks.on_epoch_begin(epoch)
            logs = {"loss": self.train_on_batch(x, y)}
            callbacks.on_epoch_end(epoch, logs)
        callbacks.on_train_end()
        print("own loop")
def made(kind=Overrides):
    model = kind()
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model
"""


def test_keras_scripts_get_the_callback_in_fit_evaluate_and_predict() -> None:
    needs("keras")
    Path("keras_script.py").write_text(f"""{MODEL}
model = made()
print("has", "eco2ai/energy_kwh" in model.fit(x, y, epochs=2, validation_split=0.25, verbose=0).history)
model.evaluate(x, y, verbose=0)
model.predict(x, verbose=0)
made(Loops).fit(x, y, epochs=3)
""")
    done = launched("keras", "keras_script.py")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line] == ["own fit", "has True", "own loop"]
    check_whole(rows())
    first, second = by_run(rows()).values()
    assert (len(epochs(first)), len(epochs(second))) == (2, 3)
    stages = {row["stage"] for row in first if row["event"] == "stage"}
    assert stages >= {"train", "validate", "test", "predict"}


def test_keras_scripts_that_have_the_callback_keep_to_their_own() -> None:
    needs("keras")
    Path("own.py").write_text(f"""{MODEL}
from eco2ai_callbacks.keras import Eco2AICallback
made().fit(x, y, epochs=2, verbose=0, callbacks=[[Eco2AICallback(project="own")]])
""")
    done = launched("keras", "own.py")
    assert done.returncode == 0, done.stderr
    check_whole(rows())
    assert {row["project"] for row in rows()} == {"own"}
    assert len(by_run(rows())) == 1
