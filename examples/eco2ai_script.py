"""A script for eco2AI with one line changed: a perceptron in plain Python, and a row of emission.csv for each epoch.

Set-up: pip install eco2ai-callbacks
"""

import random

from eco2ai_callbacks import eco2ai  # was: import eco2ai


def make_points(size, seed):
    """Points above and below a line in the plane."""
    chance = random.Random(seed)
    points = [(chance.uniform(-1, 1), chance.uniform(-1, 1)) for _ in range(size)]
    return [((1.0, x, y), 1 if y > 0.3 * x + 0.1 else -1) for x, y in points]


def guess(weights, inputs):
    return 1 if sum(w * i for w, i in zip(weights, inputs, strict=True)) > 0 else -1


@eco2ai.track(project_name="perceptron", experiment_description="the evaluation")
def evaluate(weights, points):
    return sum(guess(weights, inputs) == label for inputs, label in points) / len(points)


def main():
    train, test = make_points(100_000, seed=0), make_points(100_000, seed=1)
    weights = [0.0, 0.0, 0.0]
    tracker = eco2ai.Tracker(
        project_name="perceptron", experiment_description="the training", file_name="emission.csv", alpha_2_code="FR"
    )
    tracker.start_training(start_epoch=0)
    for epoch in range(3):
        wrong = 0
        for inputs, label in train:
            if guess(weights, inputs) != label:
                wrong += 1
                weights = [w + label * i / (epoch + 1) for w, i in zip(weights, inputs, strict=True)]
        print(f"epoch {epoch}: loss {wrong / len(train):.3f}  energy {tracker.consumption() * 1e9:7.1f} µWh")
        tracker.new_epoch({"loss": wrong / len(train)})
    tracker.stop_training()
    print(f"accuracy {evaluate(weights, test):.3f}")


if __name__ == "__main__":
    main()
