"""A sweep: the same training with several learning rates, each a run of its own, and what each accuracy cost.

Set-up: pip install eco2ai-callbacks
"""

import math
import random

import eco2ai_callbacks
from eco2ai_callbacks import track


def make_points(size, seed):
    """Points inside and outside of a circle, as their squares; some are on the wrong side."""
    chance = random.Random(seed)
    points = [(chance.uniform(-1, 1), chance.uniform(-1, 1)) for _ in range(size)]
    return [((1.0, x * x, y * y), float((x * x + y * y < 0.5) ^ (chance.random() < 0.03))) for x, y in points]


def chance_of_inside(weights, inputs):
    return 1 / (1 + math.exp(-sum(w * i for w, i in zip(weights, inputs, strict=True))))


def train(rate, epochs, points, test):
    """Train a logistic regression as a run of its own."""
    weights = [0.0, 0.0, 0.0]
    with track(project="sweep", description=f"rate={rate} epochs={epochs}", region="FR", console=False) as run:
        for epoch in range(epochs):
            for inputs, label in points:
                error = label - chance_of_inside(weights, inputs)
                weights = [w + rate * error * i for w, i in zip(weights, inputs, strict=True)]
            run.enter("validate")
            right = sum((chance_of_inside(weights, inputs) > 0.5) == label for inputs, label in test)
            run.leave()
            run.end_epoch(epoch, samples=len(points), planned=epochs, metrics={"accuracy": right / len(test)})


def main():
    points, test = make_points(5_000, seed=0), make_points(5_000, seed=1)
    for rate in (0.001, 0.01, 0.1):
        for epochs in (1, 4):
            train(rate, epochs, points, test)

    # The log has all of it: no figure was kept beside it.
    runs = [run for run in eco2ai_callbacks.load("eco2ai.jsonl") if run.project == "sweep"]
    for run in sorted(runs, key=lambda run: run.energy_kwh):
        accuracy = run.epochs[-1].metrics["accuracy"]
        print(f"{run.description:<20} accuracy {accuracy:.3f}  energy {run.energy_kwh * 1e9:7.1f} µWh")


if __name__ == "__main__":
    main()
