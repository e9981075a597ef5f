"""JAX with Flax and Optax: a small network in a loop of one's own, with each epoch's energy and CO2 beside its loss.

Set-up: pip install eco2ai-callbacks flax optax
"""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from eco2ai_callbacks import Tracker

EPOCHS, BATCH = 4, 64


class Net(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(2, 256, rngs=rngs)
        self.out = nnx.Linear(256, 2, rngs=rngs)

    def __call__(self, points):
        return self.out(nnx.relu(self.hidden(points)))


def make_points(size, seed):
    """Points inside and outside of a circle."""
    points = jax.random.uniform(jax.random.key(seed), (size, 2), minval=-1.0, maxval=1.0)
    return points, (jnp.square(points).sum(axis=1) < 0.5).astype(jnp.int32)


@nnx.jit
def train_step(model, optimizer, points, labels):
    def loss_of(model):
        return optax.softmax_cross_entropy_with_integer_labels(model(points), labels).mean()

    loss, gradients = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, gradients)
    return loss


def main():
    points, labels = make_points(20_000, seed=0)
    model = Net(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)

    # After `jax.distributed.initialize()`, the processes of the job are ranks of one run.
    with Tracker(ranks="auto", project="flax-loop") as run:
        for epoch in range(EPOCHS):
            losses = [
                train_step(model, optimizer, points[begin : begin + BATCH], labels[begin : begin + BATCH])
                for begin in range(0, len(points), BATCH)
            ]
            # JAX works in the background: the loss is awaited before the epoch's energy is read.
            loss = float(jnp.stack(losses).mean())
            report = run.end_epoch(epoch, samples=len(points), planned=EPOCHS)
            print(
                f"epoch {epoch}: loss {loss:.3f}  energy {report.scalars['eco2ai/energy_kwh'] * 1e9:7.1f} µWh  "
                f"CO2 {report.scalars['eco2ai/co2_kg'] * 1e9:6.2f} µg"
            )
    unseen, expected = make_points(5_000, seed=1)
    print(f"accuracy {float((model(unseen).argmax(axis=1) == expected).mean()):.3f}")


if __name__ == "__main__":
    main()
