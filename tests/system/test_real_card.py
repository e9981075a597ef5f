"""On a real NVIDIA card: the counter against integrated power, what a read costs, and a Lightning fit with its table.

Run with ``pytest tests/system/test_real_card.py -m gpu -s``; the figures are printed.
"""

from __future__ import annotations

import importlib
import importlib.util
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest
from logcheck import ADDING, check_whole, rows

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu.nvml import NvmlMeter, open_nvml
from eco2ai_callbacks.meters.gpu.torch_cuda import synchronize, used_devices

pytestmark = pytest.mark.gpu

SECONDS = 30.0
PERIOD_S = 0.1


@pytest.fixture
def torch() -> Any:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")
    return torch


@pytest.fixture
def meter(torch: Any) -> Iterator[NvmlMeter]:
    torch.ones(1, device="cuda:0")
    try:
        meter = open_nvml(used_by_framework=used_devices())
    except MeterUnavailable as why:
        pytest.skip(f"no card to read: {why.reason}")
    yield meter
    meter.close()


def test_the_counter_agrees_with_integrated_power_under_load(torch: Any, meter: NvmlMeter) -> None:
    import pynvml

    (device, *_) = meter.devices
    channel = f"gpu:{device.uuid}"
    if not meter.methods[channel].counter:
        pytest.skip(f"{device.name} has no energy counter")
    handle = pynvml.nvmlDeviceGetHandleByIndex(device.index)
    left = torch.randn(8192, 8192, device="cuda:0", dtype=torch.float16)
    right = torch.randn(8192, 8192, device="cuda:0", dtype=torch.float16)

    def work(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(10):
                torch.matmul(left, right)
            synchronize()

    work(5.0)  # power is averaged over up to a second, and clocks and heat settle
    first_j, then, before_w = meter.read()[channel], time.monotonic(), pynvml.nvmlDeviceGetPowerUsage(handle) / 1000
    began, sampled_j = then, 0.0
    while then - began < SECONDS:
        work(PERIOD_S)
        now, power_w = time.monotonic(), pynvml.nvmlDeviceGetPowerUsage(handle) / 1000
        sampled_j += (before_w + power_w) / 2 * (now - then)
        then, before_w = now, power_w
    counted_j = meter.read()[channel] - first_j
    print(f"\n{device.name}: counter {counted_j:.1f} J, integrated power {sampled_j:.1f} J over {then - began:.1f} s")
    assert counted_j == pytest.approx(sampled_j, rel=0.05)


def test_what_one_read_costs(meter: NvmlMeter) -> None:
    times_us = []
    for _ in range(1000):
        began = time.perf_counter()
        meter.read()
        times_us.append((time.perf_counter() - began) * 1e6)
    cuts = statistics.quantiles(times_us, n=100)
    print(f"\none read of {len(meter.devices)} GPU: median {cuts[49]:.1f} µs, 99th percentile {cuts[98]:.1f} µs")
    assert meter.failures == ()


def test_the_framework_s_device_is_the_one_that_is_measured(torch: Any, meter: NvmlMeter) -> None:
    uuid = getattr(torch.cuda.get_device_properties(0), "uuid", None)
    if uuid is None:
        pytest.skip("this torch does not know the UUIDs of its devices")
    assert meter.rule == "auto: framework"
    assert [device.uuid for device in meter.devices] == [f"GPU-{uuid}"]


def module(pl: Any, torch: Any) -> Any:
    """A model of matrix products only: what a step costs is known, and all of it runs on the card."""

    class Products(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(*(torch.nn.Linear(8192, 8192, bias=False) for _ in range(4)))

        def training_step(self, batch: Any, index: int) -> Any:
            return self.layers(batch[0]).square().mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=1e-3)

    return Products()


@pytest.mark.filterwarnings("default")
@pytest.mark.filterwarnings("error:::eco2ai_callbacks")
def test_a_lightning_fit_on_the_card_logs_what_its_counter_counts(torch: Any, meter: NvmlMeter) -> None:
    names = [
        name for name in ("lightning.pytorch", "pytorch_lightning") if importlib.util.find_spec(name.split(".")[0])
    ]
    if not names:
        pytest.skip("Lightning is not installed")
    from eco2ai_callbacks.lightning import Eco2AICallback

    pl = importlib.import_module(names[0])
    (device,) = meter.devices
    channel = f"gpu:{device.uuid}"
    data = torch.utils.data.TensorDataset(torch.randn(20_000, 8192))
    fit = pl.Trainer(
        accelerator="gpu", devices=[0], max_epochs=4, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[Eco2AICallback(region="FR", scalars="all", sample_s=PERIOD_S)],
    )  # fmt: skip
    first_j = meter.read()[channel]
    fit.fit(module(pl, torch), torch.utils.data.DataLoader(data, batch_size=1000))
    around_j = meter.read()[channel] - first_j
    log = rows()
    check_whole(log)
    (nvml,) = [source for source in log[0]["sources"] if source["name"] == "NVML"]
    print(f"\n{nvml['reason']}\n{'epoch':>5} {'stage':<8} {'s':>7} {'GPU J':>9} {'GPU W':>6} {'all J':>9}  how")
    for row in log:
        if row["event"] in ADDING:
            gpu_j, all_j = row["joules"][channel], sum(row["joules"].values())
            epoch = "" if row["epoch"] is None else row["epoch"]
            watts = gpu_j / row["seconds"]
            print(
                f"{epoch:>5} {row['stage']:<8} {row['seconds']:7.2f} {gpu_j:9.1f} {watts:6.0f} {all_j:9.1f}"
                f"  {row['method'][channel]}"
            )
    counted_j = sum(row["joules"][channel] for row in log if row["event"] in ADDING)
    print(f"all marks {counted_j:.1f} J, the counter around the fit {around_j:.1f} J")
    assert nvml["reason"].endswith("chosen by auto: framework")
    assert [row["epoch"] for row in log if row["event"] == "epoch"] == [0, 1, 2, 3]
    # What lies around the fit is the Trainer's set-up, at the card's idle power, and a step of the counter at each end.
    step_j = meter.methods[channel].edge_j
    assert counted_j == pytest.approx(around_j, rel=0.05, abs=2 * step_j)
    epochs_j = [row["joules"][channel] for row in log if row["event"] == "epoch"]
    scalars = {name: float(value) for name, value in fit.callback_metrics.items() if name.startswith("eco2ai/")}
    assert scalars["eco2ai/gpu_kwh"] == pytest.approx(epochs_j[-1] / 3.6e6, rel=1e-6)
