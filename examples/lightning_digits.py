"""Lightning: handwritten digits, with each epoch's energy and CO2 beside its loss and accuracy.

Set-up: pip install 'eco2ai-callbacks[lightning]'
"""

import logging
import warnings

import lightning.pytorch as pl
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from eco2ai_callbacks.lightning import Eco2AICallback


class Digits(pl.LightningModule):
    """A small network on 8 x 8 pixels."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))

    def training_step(self, batch, _):
        loss = cross_entropy(self.net(batch[0]), batch[1])
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, _):
        self.log("val_accuracy", (self.net(batch[0]).argmax(dim=1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class Table(pl.Callback):
    """Prints what stands in the metrics at the end of each epoch; any logger sees the same names."""

    def on_train_epoch_start(self, trainer, module):
        self.show(trainer)

    def on_fit_end(self, trainer, module):
        self.show(trainer)

    def show(self, trainer):
        seen = trainer.callback_metrics
        if "eco2ai/energy_kwh" in seen:
            print(
                f"epoch {trainer.current_epoch - 1}: loss {seen['loss']:.3f}  accuracy {seen['val_accuracy']:.3f}  "
                f"energy {seen['eco2ai/energy_kwh'] * 1e9:7.1f} µWh  CO2 {seen['eco2ai/co2_kg'] * 1e9:6.2f} µg"
            )


def main():
    # Only to keep this example's output short.
    warnings.filterwarnings("ignore", module=".*lightning.*")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.ERROR)

    digits = load_digits()
    x = torch.tensor(digits.data / 16.0, dtype=torch.float32)
    train_x, val_x, train_y, val_y = train_test_split(x, torch.tensor(digits.target), random_state=0)
    trainer = pl.Trainer(
        max_epochs=5,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=[Table(), Eco2AICallback()],
    )
    trainer.fit(
        Digits(),
        DataLoader(TensorDataset(train_x, train_y), batch_size=32, shuffle=True),
        DataLoader(TensorDataset(val_x, val_y), batch_size=256),
    )


if __name__ == "__main__":
    main()
