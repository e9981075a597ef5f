"""``python -m benchmarks.fits``: what a fit of many short epochs costs more with the callback than without.

Each framework fits a tiny model, an epoch a step, in this process, without a logger of its own. Fits with and without
the callback take turns, and each has the CPU time of the whole process: all its threads, the tracker's included. A
plain loop that computes without end has the figure of its own thread beside it. So its ratio holds what the tracker's
thread uses, and no noise of the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eco2ai_callbacks import Tracker

EPOCHS, ROUNDS, LOOP_S = 1000, 5, 60.0
# A fit of so many epochs, with the callback or without.
Fit = Callable[[int, bool], None]
_SETTINGS: dict[str, Any] = {"region": "FR", "console": False, "log_file": "fits.jsonl"}


@dataclass(frozen=True, slots=True)
class Cost:
    """The CPU seconds of fits that took turns.

    Args:
        epochs: Epochs of each fit.
        on: Of fits with the callback.
        off: Of fits without.
    """

    epochs: int
    on: tuple[float, ...]
    off: tuple[float, ...]

    @property
    def more_s(self) -> float:
        """CPU seconds that an epoch takes more with the callback: of the medians, for each round has its noise."""
        return (statistics.median(self.on) - statistics.median(self.off)) / self.epochs

    @property
    def ratio(self) -> float:
        """CPU time with the callback over that without, of the medians."""
        return statistics.median(self.on) / statistics.median(self.off)


def lightning_fit(epochs: int, on: bool) -> None:
    """Fit by Lightning."""
    import lightning.pytorch as pl
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from eco2ai_callbacks.lightning import Eco2AICallback

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch: Any, _: int) -> Any:
            return self.layer(batch[0]).square().mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 1e-3)

    pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[Eco2AICallback(**_SETTINGS)] if on else [],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Module(), DataLoader(TensorDataset(torch.ones(8, 4)), batch_size=8))


def transformers_fit(epochs: int, on: bool) -> None:
    """Fit by the Trainer of Hugging Face."""
    import torch
    from transformers import Trainer, TrainingArguments

    from eco2ai_callbacks.transformers import Eco2AICallback

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def forward(self, x: Any) -> dict[str, Any]:
            return {"loss": self.layer(x).square().mean()}

    args = TrainingArguments(
        output_dir="fits",
        num_train_epochs=epochs,
        per_device_train_batch_size=8,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    rows = [{"x": torch.ones(4)}] * 8
    callbacks: list[Any] = [Eco2AICallback(**_SETTINGS)] if on else []
    Trainer(model=Model(), args=args, train_dataset=rows, callbacks=callbacks).train()  # type: ignore[arg-type]


def keras_fit(epochs: int, on: bool) -> None:
    """Fit by Keras, with the backend that is set."""
    import keras
    import numpy

    from eco2ai_callbacks.keras import Eco2AICallback

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = numpy.ones((8, 4))
    model.fit(x, x[:, :1], epochs=epochs, verbose=0, callbacks=[Eco2AICallback(**_SETTINGS)] if on else [])


FITS: dict[str, tuple[str, Fit]] = {
    "lightning": ("lightning", lightning_fit),
    "transformers": ("transformers", transformers_fit),
    "keras": ("keras", keras_fit),
}


def cost(fit: Fit, epochs: int = EPOCHS, rounds: int = ROUNDS) -> Cost:
    """Return the CPU time of fits with and without the callback, which take turns.

    Args:
        fit: The fit.
        epochs: Epochs of each.
        rounds: How many there are of either.
    """
    found: dict[bool, list[float]] = {True: [], False: []}
    with _in_a_folder():
        for on in (True, False):
            fit(2, on)  # what is imported and compiled at the first fit
        for turn in range(rounds):
            # The first of two is another one each time.
            for on in (True, False) if turn % 2 else (False, True):
                before = time.process_time()
                fit(epochs, on)
                found[on].append(time.process_time() - before)
    return Cost(epochs, tuple(found[True]), tuple(found[False]))


def loop_ratio(seconds: float = LOOP_S) -> float:
    """Return the CPU time of a process with a tracker over that of its thread, which computes all the time.

    Args:
        seconds: How long it computes.
    """
    with _in_a_folder(), Tracker(**_SETTINGS):
        until = time.monotonic() + seconds
        whole, own = time.process_time(), time.thread_time()
        while time.monotonic() < until:
            sum(range(10_000))
        return (time.process_time() - whole) / (time.thread_time() - own)


@contextlib.contextmanager
def _in_a_folder() -> Iterator[None]:
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="fits-") as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def table(costs: dict[str, Cost]) -> str:
    """Return costs as a Markdown table."""
    lines = [
        "| fit | epochs | an epoch without, ms of CPU | more with the callback, µs | with / without |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, each in costs.items():
        off = statistics.median(each.off) / each.epochs
        cells = f"{each.epochs:,} | {off * 1e3:.2f} | {each.more_s * 1e6:.0f} | {each.ratio:.3f}"
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fits", description="What short epochs cost.")
    parser.add_argument("fits", nargs="*", help=f"of {', '.join(FITS)} (default: those that are installed)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="epochs of each fit (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="fits of either kind (default: %(default)s)")
    parser.add_argument("--loop-s", type=float, default=LOOP_S, help="seconds of the plain loop (default: %(default)s)")
    given = parser.parse_args(args)
    if unknown := [name for name in given.fits if name not in FITS]:
        parser.error(f"fits: {unknown[0]} is not one of {', '.join(FITS)}")
    for name in ("epochs", "rounds", "loop_s"):
        if not getattr(given, name) > 0:
            parser.error(
                f"--{name.replace('_', '-')}: {getattr(given, name)} is not accepted; accepted: a number above 0"
            )
    names = given.fits or [name for name, (module, _) in FITS.items() if importlib.util.find_spec(module)]
    if missing := [name for name in names if not importlib.util.find_spec(FITS[name][0])]:
        parser.error(f"fits: {missing[0]} is not installed")
    threads = threading.active_count()
    print(f"plain loop of {given.loop_s:g} s: CPU time with / without {loop_ratio(given.loop_s):.5f}")
    print(table({name: cost(FITS[name][1], given.epochs, given.rounds) for name in names}))
    print(f"threads left over: {threading.active_count() - threads}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
