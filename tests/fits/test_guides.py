"""The examples in the guides to the frameworks run from top to bottom, and the README's with them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from guides import blocks, run_guide
from logcheck import check_whole, epochs, rows

from eco2ai_callbacks.runlog.verify import verify

REPOSITORY = Path(__file__).parents[2]


def of_lightning() -> dict[str, Any]:
    pl = pytest.importorskip("lightning.pytorch")
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    class Net(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Linear(4, 1)

        def training_step(self, batch: Any, _: int) -> Any:
            return self.net(batch[0]).square().mean()

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("val_loss", self.net(batch[0]).square().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    data = DataLoader(TensorDataset(torch.ones(8, 4)), batch_size=4)
    return {"model": Net(), "train_data": data, "val_data": data}


def of_transformers() -> dict[str, Any]:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    config = transformers.BertConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    import torch

    data = [{"input_ids": torch.tensor([1, 2, 3]), "labels": torch.tensor(1)} for _ in range(8)]
    return {
        "model": transformers.BertForSequenceClassification(config),
        "train_data": data,
        "eval_data": data,
    }


def of_keras() -> dict[str, Any]:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    import numpy

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return {"model": model, "x": numpy.ones((10, 4)), "y": numpy.ones((10, 1))}


def of_accelerate() -> dict[str, Any]:
    pytest.importorskip("accelerate")
    return {"train_one_epoch": lambda _: 0.5, "validate": lambda _: None}


# The guide, what its reader has already, and the numbers of the epochs that its examples train.
GUIDES: dict[str, tuple[Callable[[], dict[str, Any]], list[int]]] = {
    "lightning.md": (of_lightning, [0, 1, 2, 0, 1, 2, 3, 4]),
    "transformers.md": (of_transformers, [0, 1, 0, 0, 1, 2]),
    "keras.md": (of_keras, [0, 1, 2, 0, 1, 2, 3]),
    "accelerate.md": (of_accelerate, [0, 1, 2, 0, 0, 1, 2]),
}


@pytest.mark.filterwarnings("ignore")  # what the frameworks think of so small a training
@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_trains_as_it_stands(name: str) -> None:
    reader, trained = GUIDES[name]
    assert run_guide(REPOSITORY / "docs" / name, **reader()) > 1
    assert verify(Path("eco2ai.jsonl")).whole
    assert [row["epoch"] for row in epochs(rows())] == trained


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(GUIDES.keys() - {"accelerate.md"}))  # its example is on its own page
def test_the_readme_s_example_trains_as_it_stands(name: str) -> None:
    module = f"eco2ai_callbacks.{name.removesuffix('.md')}"
    (example,) = [block for block in blocks(REPOSITORY / "README.md") if f"from {module} " in block.text]
    given = GUIDES[name][0]()
    exec(example.compiled(), {"__name__": "readme", **given})  # type: ignore[call-overload]
    check_whole(rows())
    assert epochs(rows())
