"""No framework at all: a perceptron in plain Python, measured epoch by epoch, and a function by its decorator.

Set-up: pip install eco2ai-callbacks
"""

import random

from eco2ai_callbacks import track


def make_points(size, seed):
    """Points above and below a line in the plane."""
    chance = random.Random(seed)
    points = [(chance.uniform(-1, 1), chance.uniform(-1, 1)) for _ in range(size)]
    return [((1.0, x, y), 1 if y > 0.3 * x + 0.1 else -1) for x, y in points]


def guess(weights, inputs):
    return 1 if sum(w * i for w, i in zip(weights, inputs, strict=True)) > 0 else -1


@track(project="plain-tracker", description="the evaluation, by decorator")
def evaluate(weights, points):
    return sum(guess(weights, inputs) == label for inputs, label in points) / len(points)


def main():
    train, test = make_points(100_000, seed=0), make_points(100_000, seed=1)
    weights = [0.0, 0.0, 0.0]
    with track(project="plain-tracker") as run:
        for epoch in range(3):
            wrong = 0
            for inputs, label in train:
                if guess(weights, inputs) != label:
                    wrong += 1
                    weights = [w + label * i / (epoch + 1) for w, i in zip(weights, inputs, strict=True)]
            used = run.end_epoch(epoch, samples=len(train), planned=3).usage
            print(
                f"epoch {epoch}: loss {wrong / len(train):.3f}  "
                f"energy {used.energy_kwh * 1e9:7.1f} µWh  CO2 {used.co2_kg * 1e9:6.2f} µg  {used.power_w:.1f} W"
            )
    print(f"accuracy {evaluate(weights, test):.3f}")


if __name__ == "__main__":
    main()
