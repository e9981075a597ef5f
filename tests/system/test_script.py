"""Scripts that nobody edits: ``python -m eco2ai_callbacks.<framework> script.py``, in real processes."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from logcheck import by_run, by_writer, check_whole, epochs, rows

from eco2ai_callbacks.integrations.script import launch

pytest.importorskip("torch")

FRAMEWORKS = [name for name in ("lightning", "transformers", "keras") if importlib.util.find_spec(name)]
LIMIT_S = 240


def needs(name: str) -> None:
    if name not in FRAMEWORKS:
        pytest.skip(f"{name} is not installed")


def launched(framework: str, *arguments: str, **variables: str) -> Any:
    environ = (
        os.environ | {"ECO2AI_REGION": "FR", "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "torch")} | variables
    )
    return subprocess.run(
        [sys.executable, "-m", f"eco2ai_callbacks.{framework}", *arguments],
        capture_output=True, text=True, env=environ, timeout=LIMIT_S,
    )  # fmt: skip


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
    done = launched(framework, *arguments)
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
    done = launched(FRAMEWORKS[0], "spawns.py")
    assert done.stdout == "[0, 1, 2, 3, 4, 5, 6, 7]\n", done.stderr


# --- Hugging Face ---------------------------------------------------------------------------------------------------


def test_transformers_scripts_can_name_us_in_report_to() -> None:
    needs("transformers")
    Path("run_it.py").write_text("""
import torch, transformers
from transformers import HfArgumentParser, Trainer, TrainingArguments
class Texts(torch.utils.data.Dataset):
    def __len__(self): return 32
    def __getitem__(self, index): return {"input_ids": torch.full((8,), index % 9), "labels": torch.tensor(index % 2)}
args = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses()[0]
size = dict(vocab_size=9, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
model = transformers.BertForSequenceClassification(transformers.BertConfig(**size))
trainer = Trainer(model, args, train_dataset=Texts())
trainer.train()
print("rows:", sum("eco2ai/energy_kwh" in row for row in trainer.state.log_history))
""")
    arguments = "--output_dir out --num_train_epochs 2 --report_to eco2ai --save_strategy no --use_cpu True"
    done = launched("transformers", "run_it.py", *arguments.split(), ECO2AI_PROJECT="by hand")
    assert done.returncode == 0, done.stderr
    assert "rows: 2" in done.stdout
    found = rows()
    check_whole(found)
    assert len(epochs(found)) == 2
    assert {row["project"] for row in found} == {"by hand"}


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
    done = launched("lightning", "ranks.py")
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
