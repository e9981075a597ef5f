"""Libraries on top of the frameworks: the example of each in the documentation runs through the library itself.

`tox -e libraries` has all of them but fastai, which has an environment of its own: beside torch's small build for CPUs,
its torchvision keeps the others from being imported. Nothing is downloaded: models are made of their configurations.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import sweeps
from guides import blocks, run_section
from logcheck import epochs, rows

from eco2ai_callbacks import load
from eco2ai_callbacks.runlog.verify import verify

pytestmark = pytest.mark.filterwarnings("ignore")  # what the libraries say of so small a training

PAGE = Path(__file__).parents[2] / "docs" / "libraries.md"
ENERGY = "eco2ai/energy_kwh"
WORDS = ("[PAD]", "[EOS]", "[UNK]", "one", "two", "three")
SMALL = {
    "vocab_size": 8,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def data_loader() -> Any:
    from torch import ones
    from torch.utils.data import DataLoader, TensorDataset

    return DataLoader(TensorDataset(ones(8, 4)), batch_size=4)


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", eos_token="[EOS]", unk_token="[UNK]")


def for_fabric() -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    pytest.importorskip("lightning.fabric")
    model = torch.nn.Linear(4, 1)
    return {"model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=0.01), "train_data": data_loader()}


def for_skorch() -> dict[str, Any]:
    pytest.importorskip("skorch")
    import numpy
    import torch

    return {"model": torch.nn.Linear(4, 1), "x": numpy.ones((20, 4), "float32"), "y": numpy.ones((20, 1), "float32")}


def for_ignite() -> dict[str, Any]:
    pytest.importorskip("ignite")
    return {"train_step": lambda _engine, batch: float(batch[0].sum()), "train_data": data_loader()}


def for_fastai() -> dict[str, Any]:
    learner = pytest.importorskip("fastai.learner")
    import torch

    data = [(torch.ones(4), torch.ones(1)) for _ in range(8)]
    loaders = [torch.utils.data.DataLoader(data, batch_size=4) for _ in range(2)]
    return {"model": torch.nn.Linear(4, 1), "data": learner.DataLoaders(*loaders)}


def for_sentence_transformers() -> dict[str, Any]:
    pytest.importorskip("sentence_transformers")
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel

    BertModel(BertConfig(**SMALL)).save_pretrained("bert")
    tokenizer().save_pretrained("bert")
    data = Dataset.from_dict({"first": ["one two"] * 8, "second": ["three"] * 8, "score": [0.5] * 8})
    return {"model": SentenceTransformer("bert", device="cpu"), "train_data": data}


def for_trl() -> dict[str, Any]:
    pytest.importorskip("trl")
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**SMALL, num_key_value_heads=2, pad_token_id=0, eos_token_id=1))
    data = Dataset.from_dict({"text": ["one two three one"] * 8})
    return {"model": model, "tokenizer": tokenizer(), "train_data": data}


def for_peft() -> dict[str, Any]:
    pytest.importorskip("peft")
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    data = [{"input_ids": torch.tensor([1, 2, 3]), "labels": torch.tensor(1)} for _ in range(8)]
    return {"model": BertForSequenceClassification(BertConfig(**SMALL)), "train_data": data}


def in_csv_file(_: Mapping[str, Any]) -> Sequence[object]:
    (path,) = Path("logs").rglob("metrics.csv")
    with path.open() as lines:
        return [float(row[ENERGY]) for row in csv.DictReader(lines)]


def in_history(names: Mapping[str, Any]) -> Sequence[object]:
    return list(names["net"].history[:, ENERGY])


def in_state(names: Mapping[str, Any]) -> Sequence[object]:
    # Ignite keeps the latest.
    return [None, names["trainer"].state.metrics[ENERGY]]


def in_recorder(names: Mapping[str, Any]) -> Sequence[object]:
    return [values[-1] for values in names["learn"].recorder.values]


def in_log_history(names: Mapping[str, Any]) -> Sequence[object]:
    return [row[ENERGY] for row in names["trainer"].state.log_history if ENERGY in row]


def by_name(section: str, names: Mapping[str, Any]) -> Sequence[object]:
    """Train once more, with our callback among the reporters and none given."""
    args = names["args"]
    args.report_to = ["eco2ai"]
    given = {"train_dataset": names["train_data"], "eval_dataset": names["train_data"]}
    if section == "TRL":
        given["processing_class"] = names["tokenizer"]
    else:
        given["loss"] = names["CosineSimilarityLoss"](names["model"])
    trainer = type(names["trainer"])(names["model"], args, **given)
    trainer.train()
    return in_log_history({"trainer": trainer})


# What the reader of a section has already, and where the library shows each epoch's energy.
SECTIONS: dict[str, tuple[Callable[[], dict[str, Any]], Callable[[Mapping[str, Any]], Sequence[object]]]] = {
    "Fabric": (for_fabric, in_csv_file),
    "skorch": (for_skorch, in_history),
    "Ignite": (for_ignite, in_state),
    "fastai": (for_fastai, in_recorder),
    "Sentence Transformers": (for_sentence_transformers, in_log_history),
    "TRL": (for_trl, in_log_history),
    "PEFT": (for_peft, in_log_history),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_an_example_trains_as_it_stands_and_shows_each_epoch_s_energy(section: str) -> None:
    reader, shown_in = SECTIONS[section]
    names = run_section(PAGE, section, **reader())
    assert verify(Path("eco2ai.jsonl")).whole
    (run,) = load("eco2ai.jsonl").runs
    assert run.states == ("finished",)
    assert [epoch.epoch for epoch in run.epochs] == [0, 1]
    shown = shown_in(names)
    assert len(shown) == 2
    logged = [row["epoch_energy_kwh"] for row in epochs(rows())]
    for in_library, in_log in zip(shown, logged, strict=True):
        assert in_library is None or in_library == pytest.approx(in_log, rel=1e-4)
    if section in ("Sentence Transformers", "TRL"):  # with an evaluation after each epoch, on its own row
        assert sum(f"eval_{ENERGY}" in row for row in names["trainer"].state.log_history) == 2  # type: ignore[attr-defined]
        assert len(by_name(section, names)) == 2
        assert len(load("eco2ai.jsonl").runs) == 2
    if section == "TRL":
        assert "co2_eq_emissions:" in Path("out/README.md").read_text(encoding="utf-8")


def test_every_example_of_the_page_is_tested() -> None:
    tested = SECTIONS.keys() | set(sweeps.SECTIONS)
    assert {block.section for block in blocks(PAGE) if block.language == "python"} == tested
