"""Ray Train: two workers on one task, as ranks of one run, with each epoch's energy and CO2 in Ray's own metrics.

Set-up: pip install eco2ai-callbacks 'ray[train]' torch
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import ray.train
import torch
from ray.train import Checkpoint, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, prepare_model
from torch.nn.functional import cross_entropy

from eco2ai_callbacks import Tracker, load

EPOCHS, BATCH = 3, 64


def make_points(size, seed):
    """Points inside and outside of a circle."""
    points = torch.rand(size, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return points, (points.square().sum(dim=1) < 0.5).long()


def train(_config):
    rank = ray.train.get_context().get_world_rank()
    points, labels = make_points(10_000, seed=rank)  # each worker has data of its own
    net = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
    model = prepare_model(net)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    unseen, expected = make_points(5_000, seed=1_000)

    with Tracker(ranks="auto", project="ray-train") as run:  # all workers are ranks of one run
        for epoch in range(EPOCHS):
            for begin in range(0, len(points), BATCH):
                optimizer.zero_grad()
                loss = cross_entropy(model(points[begin : begin + BATCH]), labels[begin : begin + BATCH])
                loss.backward()
                optimizer.step()
            figures = run.end_epoch(epoch, samples=len(points), planned=EPOCHS).scalars  # of the whole job
            with torch.no_grad():
                accuracy = float((model(unseen).argmax(dim=1) == expected).float().mean())
            row = {"epoch": epoch, "loss": loss.item(), "accuracy": accuracy, **figures}
            with TemporaryDirectory() as folder:  # Ray's result holds the rows that come with a checkpoint
                torch.save(net.state_dict(), Path(folder) / "net.pt")
                ray.train.report(row, checkpoint=Checkpoint.from_directory(folder) if rank == 0 else None)


def main():
    results = Path("runs").resolve()
    trainer = TorchTrainer(
        train,
        scaling_config=ScalingConfig(num_workers=2),
        run_config=RunConfig(storage_path=str(results), name="points"),
    )
    metrics = trainer.fit().metrics
    print(f"accuracy {metrics['accuracy']:.3f}  energy {metrics['eco2ai/total_energy_kwh'] * 1e9:.1f} µWh")

    log = results / "points" / "eco2ai.jsonl"  # where Ray keeps the results
    for epoch in load(log).runs[0].epochs:
        print(f"epoch {epoch.epoch}: energy {epoch.energy_kwh * 1e9:7.1f} µWh  CO2 {epoch.co2_kg * 1e9:6.2f} µg")


if __name__ == "__main__":
    main()
