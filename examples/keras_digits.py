"""Keras 3: handwritten digits, with each epoch's energy and CO2 in its logs, on any backend.

Set-up: pip install 'eco2ai-callbacks[keras]'
"""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # or jax, or tensorflow

import keras
from sklearn.datasets import load_digits

from eco2ai_callbacks.keras import Eco2AICallback


def main():
    digits = load_digits()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    seen = model.fit(
        digits.data / 16.0,
        digits.target,
        epochs=5,
        validation_split=0.2,
        verbose=2,
        callbacks=[Eco2AICallback()],
    ).history
    for epoch, loss in enumerate(seen["loss"]):
        print(
            f"epoch {epoch}: loss {loss:.3f}  accuracy {seen['val_accuracy'][epoch]:.3f}  "
            f"energy {seen['eco2ai/energy_kwh'][epoch] * 1e9:7.1f} µWh  "
            f"CO2 {seen['eco2ai/co2_kg'][epoch] * 1e9:6.2f} µg"
        )


if __name__ == "__main__":
    main()
