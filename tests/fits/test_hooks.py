"""Budget, forecast, efficiency and model card, through real fits of each framework."""

from __future__ import annotations

import importlib
import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
from logcheck import check_whole, epochs, rows

from eco2ai_callbacks.errors import SettingsError

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::eco2ai_callbacks"),
]

SAMPLES, BATCH = 100, 16  # the last batch of an epoch is smaller


def lightning_fit(epochs_: int, **settings: Any) -> list[dict[str, float]]:
    pl = pytest.importorskip("lightning.pytorch")
    torch = pytest.importorskip("torch")
    from eco2ai_callbacks.lightning import Eco2AICallback

    class Small(pl.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(8, 2)

        def training_step(self, batch: Any, index: int) -> Any:
            return torch.nn.functional.cross_entropy(self.layer(batch["x"]), batch["y"])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    class Keeps(pl.Callback):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            self.seen: list[dict[str, float]] = []

        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            self.keep(trainer)

        def on_fit_end(self, trainer: Any, module: Any) -> None:
            self.keep(trainer)

        def keep(self, trainer: Any) -> None:
            found = {k: float(v) for k, v in trainer.callback_metrics.items()}
            if found:
                self.seen.append(found)

    data = [{"x": torch.randn(8), "y": index % 2} for index in range(SAMPLES)]
    keeps = Keeps()
    trainer = pl.Trainer(
        max_epochs=epochs_, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[Eco2AICallback(region="FR", **settings), keeps],
    )  # fmt: skip
    trainer.fit(Small(), torch.utils.data.DataLoader(data, batch_size=BATCH))
    return keeps.seen


def transformers_trainer(epochs_: int, settings: dict[str, Any], **kwargs: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    from eco2ai_callbacks.transformers import Eco2AICallback

    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    data = [{"input_ids": torch.tensor([index % 50] * 12), "labels": index % 2} for index in range(SAMPLES)]
    args = transformers.TrainingArguments(
        output_dir="out", num_train_epochs=epochs_, per_device_train_batch_size=BATCH, report_to="none",
        disable_tqdm=True, save_strategy="no", use_cpu=True, **kwargs,
    )  # fmt: skip
    return transformers.Trainer(
        transformers.BertForSequenceClassification(config),
        args,
        train_dataset=data,
        eval_dataset=data[:16],
        callbacks=[Eco2AICallback(region="FR", **settings)],
    )


def transformers_fit(epochs_: int, **settings: Any) -> list[dict[str, float]]:
    trainer = transformers_trainer(epochs_, settings)
    trainer.train()
    return [row for row in trainer.state.log_history if "eco2ai/energy_kwh" in row]


def keras_fit(epochs_: int, **settings: Any) -> list[dict[str, float]]:
    if not os.environ.get("KERAS_BACKEND"):
        pytest.importorskip("torch")
        os.environ["KERAS_BACKEND"] = "torch"
    keras = pytest.importorskip("keras")
    np = pytest.importorskip("numpy")
    from eco2ai_callbacks.keras import Eco2AICallback

    net = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2, activation="softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy")
    seen = net.fit(
        np.random.default_rng(0).random((SAMPLES, 8)).astype("float32"), np.arange(SAMPLES) % 2,
        epochs=epochs_, batch_size=BATCH, verbose=2, callbacks=[Eco2AICallback(region="FR", **settings)],
    ).history  # fmt: skip
    names = [name for name in seen if name.startswith("eco2ai/")]
    assert {len(values) for values in seen.values()} == {len(seen["loss"])}, "no table can be made of this"
    return [{n: seen[n][e] for n in names} for e in range(len(seen["loss"]))]


FITS = {"lightning": lightning_fit, "transformers": transformers_fit, "keras": keras_fit}


@pytest.fixture(params=FITS)
def fit(request: pytest.FixtureRequest) -> Any:
    return FITS[request.param]


def test_a_budget_stops_the_run_after_the_epoch_that_crosses_it(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    seen = fit(9, max_energy_kwh=1e-12, console=True)
    assert len(seen) == 1
    run = rows()
    check_whole(run)
    assert len(epochs(run)) == 1
    assert re.match(r"budget: the budget of 1e-12 kWh is used up: .* kWh( after epoch 0)?$", run[-1]["ended"])
    assert "the budget of 1e-12 kWh is used up" in capsys.readouterr().err


def test_a_budget_that_the_last_epoch_uses_up_ends_nothing(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(fit(1, max_energy_kwh=1e-12, console=True)) == 1
    assert rows()[-1]["ended"] == "finished"
    assert "| budget" not in capsys.readouterr().err


@pytest.mark.parametrize("name", FITS)
def test_a_budget_stops_a_run_within_its_only_epoch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eco2ai_callbacks.metrics.figures.LOOK_S", 0.0)
    FITS[name](1, max_energy_kwh=1e-12)
    run = rows()
    check_whole(run)
    assert re.match(r"budget: the budget of 1e-12 kWh is used up: \S+ kWh$", run[-1]["ended"])
    if name == "transformers":  # Lightning counts them with scalars="all" alone, and Keras does not know how many
        assert epochs(run)[0]["samples"] < SAMPLES
    else:
        assert epochs(run)[0]["samples"] is None


@pytest.mark.parametrize("name", FITS)
def test_a_run_of_one_epoch_is_forecast_by_its_steps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eco2ai_callbacks.metrics.figures.LOOK_S", 0.0)
    FITS[name](1)
    found = [row for row in rows() if row["event"] == "forecast"]
    assert found
    assert all(row["metrics"]["epochs"] == 0 < row["metrics"]["done"] < row["metrics"]["planned"] for row in found)
    assert {row["epoch"] for row in found} == {0}
    check_whole(rows())


def test_a_budget_that_is_not_reached_stops_nothing(fit: Any) -> None:
    assert len(fit(2, max_co2_kg=1e3)) == 2
    assert rows()[-1]["ended"] == "finished"


def test_the_rest_of_the_run_is_forecast_from_the_second_epoch_on(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    seen = fit(5)
    run = rows()
    told = [row["metrics"] for row in run if row["event"] == "forecast"]
    assert [row["epoch"] for row in run if row["event"] == "forecast"] == [1, 2, 3]
    by_epoch = [row["eco2ai/forecast_energy_kwh"] for row in seen]
    assert all(math.isfinite(value) for row in seen for value in row.values())
    assert by_epoch[0] > seen[0]["eco2ai/total_energy_kwh"]
    assert by_epoch[-1] == pytest.approx(seen[-1]["eco2ai/total_energy_kwh"], rel=1e-6)
    for shown, record in zip(by_epoch[1:4], told, strict=True):
        assert shown == pytest.approx(record["energy_kwh"], rel=1e-6)
    used = [row["total"]["energy_kwh"] for row in epochs(run)]
    for forecast, so_far in zip(told, used[1:4], strict=True):
        assert forecast["energy_kwh"] > so_far
        low, high = forecast["energy_band_kwh"]
        assert low < forecast["energy_kwh"] < high
    # Five equal epochs: what was expected after four is near what it was in the end, whatever else ran meanwhile.
    assert told[-1]["energy_kwh"] == pytest.approx(used[-1], rel=0.5)
    assert capsys.readouterr().err.count("eco2ai: forecast of the whole run after 2 epochs") == 1


def test_no_forecast_where_it_is_turned_off(fit: Any) -> None:
    seen = fit(3, forecast_after=0)
    assert not [name for row in seen for name in row if "forecast" in name]
    assert not [row for row in rows() if row["event"] == "forecast"]


def test_joules_per_sample_are_those_of_the_epoch(fit: Any) -> None:
    seen = fit(2, scalars="all")
    for row, record in zip(seen, epochs(rows()), strict=True):
        assert record["samples"] == SAMPLES
        joules = record["epoch_total"]["energy_kwh"] * 3.6e6
        assert row["eco2ai/j_per_sample"] == pytest.approx(joules / SAMPLES, rel=1e-6)
        assert row["eco2ai/power_w"] == pytest.approx(joules / record["epoch_total"]["seconds"], rel=1e-6)


def test_hugging_face_knows_the_tokens_where_they_are_counted() -> None:
    trainer = transformers_trainer(2, {"scalars": "all"}, include_num_input_tokens_seen=True)
    trainer.train()
    found = [row for row in trainer.state.log_history if "eco2ai/energy_kwh" in row]
    for row, record in zip(found, epochs(rows()), strict=True):
        assert record["tokens"] == SAMPLES * 12
        joules = record["epoch_total"]["energy_kwh"] * 3.6e6
        assert row["eco2ai/j_per_token"] == pytest.approx(joules / record["tokens"], rel=1e-9)


def test_the_model_card_tells_the_runs_co2() -> None:
    hub = pytest.importorskip("huggingface_hub")
    trainer = transformers_trainer(2, {}, eval_strategy="epoch")
    trainer.train()
    trainer.create_model_card(model_name="mine", tags=["test"])
    text = Path("out/README.md").read_text()
    found = hub.ModelCard(text).data.to_dict()["co2_eq_emissions"]
    assert float(found["emissions"]) == pytest.approx(rows()[-1]["total"]["co2_kg"] * 1e3, rel=1e-4)
    assert re.search(r"emissions: \d+\.\d+$", text, re.MULTILINE)
    assert found["training_type"] == "pre-training"
    assert found["geographical_location"] == "France"
    assert "eco2AI" in found["source"]
    assert found["hardware_used"]
    body = text.split("---", 2)[2]
    assert "eco2ai" not in body.lower()
    assert "Validation Loss" in body  # the card's own table is what it would be without us


def test_the_card_of_an_evaluation_alone_is_left_as_it_is() -> None:
    pytest.importorskip("huggingface_hub")
    trainer = transformers_trainer(1, {})
    trainer.evaluate()
    assert "create_model_card" not in vars(trainer)


@pytest.mark.parametrize("name", FITS)
def test_a_setting_without_its_name_is_refused_in_one_sentence(name: str) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip(name)
    module = importlib.import_module(f"eco2ai_callbacks.{name}")
    said = "Eco2AICallback takes settings by name, such as Eco2AICallback(project='demo'); it was given 'demo'"
    with pytest.raises(SettingsError, match=f"^{re.escape(said)} without one.$"):
        module.Eco2AICallback("demo")
