"""Accelerate: a loop of one's own on handwritten digits, with each epoch's energy and CO2 in the rows of every tracker.

Set-up: pip install 'eco2ai-callbacks[accelerate]' scikit-learn
In two processes: accelerate launch --multi_gpu --num_processes 2 accelerate_loop.py
"""

import torch
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from eco2ai_callbacks.accelerate import measure_every_process


class Table(GeneralTracker):
    """Prints the rows that are logged; TensorBoard, W&B and the others see the same names."""

    name = "table"
    requires_logging_directory = False
    tracker = None

    def store_init_configuration(self, values):
        pass

    def log(self, values, step=None, **_):
        print(
            f"epoch {values['epoch']}: loss {values['loss']:.3f}  accuracy {values['accuracy']:.3f}  "
            f"energy {values['eco2ai/energy_kwh'] * 1e9:7.1f} µWh  CO2 {values['eco2ai/co2_kg'] * 1e9:6.2f} µg"
        )


def main():
    digits = load_digits()
    data = TensorDataset(torch.tensor(digits.data / 16.0, dtype=torch.float32), torch.tensor(digits.target))
    model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))

    accelerator = Accelerator(cpu=True, log_with=[Table()])
    measure_every_process(accelerator)  # the line that is ours
    model, optimizer, loader = accelerator.prepare(
        model, torch.optim.Adam(model.parameters(), lr=1e-3), DataLoader(data, batch_size=32, shuffle=True)
    )
    accelerator.init_trackers("digits")
    for epoch in range(4):
        right, loss_sum = 0, 0.0
        for inputs, labels in loader:
            optimizer.zero_grad()
            found = model(inputs)
            loss = cross_entropy(found, labels)
            accelerator.backward(loss)
            optimizer.step()
            losses = cross_entropy(found.detach(), labels, reduction="none")
            guessed, labels, losses = accelerator.gather_for_metrics((found.argmax(dim=1), labels, losses))
            right += int((guessed == labels).sum())
            loss_sum += float(losses.sum())
        accelerator.log({"loss": loss_sum / len(data), "accuracy": right / len(data), "epoch": epoch}, step=epoch)
    accelerator.end_training()


if __name__ == "__main__":
    main()
