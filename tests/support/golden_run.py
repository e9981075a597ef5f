"""Scripted runs on a machine of fakes, and their results as text that is the same each time.

The expected texts are in the folder ``golden``. Only the functions of the first part depend on the package's inside;
when that changes, they follow, and the files of the folder stay. ``REGENERATE_GOLDEN=1`` writes these again.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import difflib
import hashlib
import hmac
import io
import json
import logging
import os
import platform
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from eco2ai_callbacks import Tracker, Usage
from eco2ai_callbacks.meters.discovery import Discovery, Source
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.metrics.epoch_report import EpochReport
from eco2ai_callbacks.session.context import Platform, RunContext
from eco2ai_callbacks.session.identity import Checkpoint
from eco2ai_callbacks.settings import NAMES, OTHER_VARIABLES, PREFIX, Settings
from eco2ai_callbacks.testing import BARE_METAL, CLOUD_VM, Clock
from eco2ai_callbacks.usage import Method

GOLDEN = Path(__file__).parents[1] / "contract" / "golden"
REGENERATE = "REGENERATE_GOLDEN"
# Of the log's HMACs.
KEY = "golden"

Gather = Callable[[Any], list[Any]]

# --- the package's inside -------------------------------------------------------------------------------------------


class Meter:
    """A meter of constant powers that fails where a test says so.

    Args:
        clock: The clock that energy is computed by.
        name: Name that failures begin with.
        watts: The power of each channel.
        methods: Measuring method of each channel, as :func:`method` returns it.
        gpus: Names of the cards that it measures.
    """

    def __init__(
        self, clock: Clock, name: str, watts: Mapping[str, float], methods: Mapping[str, Any], gpus: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.covers = frozenset(channel.partition(":")[0] for channel in watts)
        self.max_gap_s = float("inf")
        self.methods = dict(methods)
        self.failures: tuple[str, ...] = ()
        uuids = [channel.removeprefix("gpu:") for channel in watts if channel.startswith("gpu:")]
        self.devices = tuple(
            Device("nvidia", i, uuid, gpu) for i, (uuid, gpu) in enumerate(zip(uuids, gpus, strict=False))
        )
        self.watts = dict(watts)
        self.fault: Exception | None = None
        self._clock, self._began = clock, clock()

    def read(self) -> dict[str, float]:
        if self.fault is not None:
            raise self.fault
        return {channel: watts * (self._clock() - self._began) for channel, watts in self.watts.items()}

    def close(self) -> None:
        pass


def method(name: str, low: float, high: float, edge_j: float, counter: bool, whose: str) -> Any:
    """Return the measuring method of a channel."""
    return Method(name, low, high, edge_j, counter, scope=whose)


def used(meter: Meter, name: str, reason: str) -> Any:
    """Return a source that is used."""
    methods = {channel: known.name for channel, known in meter.methods.items()}
    measured = tuple(sorted({known.name for known in meter.methods.values() if known.measured}))
    return Source(name, "used", reason, None, methods, tuple(sorted(meter.covers)), meter.devices, measured)


def unused(name: str, reason: str, status: str = "unavailable") -> Any:
    """Return a source that is not used, with the reason."""
    return Source(name, status, reason)


def machine(
    clock: Clock,
    meters: Sequence[Meter],
    sources: Sequence[Any],
    not_covered: Sequence[str] = (),
    *,
    desktop: bool = False,
) -> Any:
    """Return a machine with these meters; its registry and its root are in the working folder."""
    return Platform(
        clock=clock,
        host=lambda: BARE_METAL if desktop else CLOUD_VM,
        discover=lambda *_: Discovery(tuple(meters), tuple(sources), tuple(not_covered)),
        environ={"ECO2AI_LOG_KEY": KEY},
        root=Path("root"),
        registry=Path("registry"),
    )


def tracker(on: Any, **settings: Any) -> Tracker:
    """Return a tracker on that machine; it calls no framework for its cards."""
    args = {"region": "FR", "intensity_year": 2023, "heartbeat_s": 0.0, "gpus": "visible", "sync_gpu": False}
    return Tracker(platform=on, **{**args, **settings})


def begin(
    run: Tracker,
    base: str = "train",
    saved: Mapping[str, Any] | None = None,
    rank: tuple[int, int] | None = None,
    gather: Gather | None = None,
) -> Tracker:
    """Start a tracker as an adapter does; ``saved`` is a result of :func:`checkpoint`."""
    known = None if saved is None else Checkpoint.from_dict(saved)
    meet = None if gather is None else lambda able: able
    return run.start(RunContext(base=base, checkpoint=known, rank=rank, gather=gather, meet=meet))


def figures(report: EpochReport) -> dict[str, float]:
    """Return an epoch's scalars without its forecast, in the order of the golden files."""
    first = {name: value for name, value in report.train.items() if name in ("eco2ai/energy_kwh", "eco2ai/co2_kg")}
    return first | report.validation | report.total | report.train


def checkpoint(run: Tracker) -> dict[str, Any]:
    """Return the state of a run that a checkpoint holds."""
    assert run.checkpoint is not None
    return run.checkpoint.to_dict()


def failures(run: Tracker) -> list[str]:
    """Return the failures that a tracker has recorded."""
    return list(run.guard.failures)


def defaults() -> dict[str, Any]:
    """Return the settings with their default values."""
    fields = {f.name: f for f in dataclasses.fields(Settings)}
    return {name: fields[name].default for name in NAMES}


def registry_entries() -> list[dict[str, Any]]:
    """Return the registry's entries of the trackers that run on a :func:`machine` now."""
    return [json.loads(path.read_text()) for path in sorted(Path("registry").glob("*.json"))]


def variables() -> list[str]:
    """Return the names of the variables that are read."""
    return sorted([*(PREFIX + name.upper() for name in NAMES), *OTHER_VARIABLES])


def schema() -> dict[str, Any]:
    """Return the JSON schema of a line of the log, as it is installed."""
    return json.loads((files("eco2ai_callbacks") / "runlog" / "schema.json").read_text(encoding="utf-8"))


# --- the results of a run -------------------------------------------------------------------------------------------


class Told:
    """The results of a script's calls, in their order."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, call: str, returned: Any) -> Any:
        self.calls.append({"call": call, "returned": masked_costs(plain(returned))})
        return returned


def plain(value: Any) -> Any:
    """Return a value in a form that JSON can hold."""
    if isinstance(value, Usage):
        figures = {name: getattr(value, name) for name in ("seconds", "energy_kwh", "co2_kg", "power_w")}
        return figures | {"joules": dict(value.joules), "grams": value.grams}
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


class Masks:
    """Stable names in place of what differs each time: ids, hashes, processes, versions and the wall clock."""

    def __init__(self, lines: Sequence[str]) -> None:
        rows = [json.loads(line) for line in lines]
        self._names: dict[str, str] = {}
        for what in ("run", "writer", "host"):
            for value in dict.fromkeys(row[what] for row in rows if what in row):
                self._names[value] = f"{what}-{1 + sum(name.startswith(what) for name in self._names.values())}"
        for line, row in zip(lines, rows, strict=True):
            which = f"line {row['seq']} of {self._names[row['writer']]}"
            self._names[hashlib.sha256(line.encode()).hexdigest()[:32]] = f"hash of {which}"
            unsigned = line.replace(f',"hmac":"{row["hmac"]}"', "")
            self._names[hmac.new(KEY.encode(), unsigned.encode(), hashlib.sha256).hexdigest()] = f"HMAC of {which}"
        self._version = next((row["version"] for row in rows if "version" in row), None)

    def text(self, text: str) -> str:
        """Return any text with the stable names."""
        for value, name in self._names.items():
            text = text.replace(value, name)
        return text.replace(f"(eco2ai-callbacks {self._version})", "(eco2ai-callbacks version)")

    def row(self, row: Mapping[str, Any]) -> str:
        """Return a line of the log with each field on a line of its own, in their order."""
        masked = {"pid": "pid", "version": "version", "anchor": "offsets", "start": masked_time(row["start"])}
        shown = {name: masked.get(name, value) for name, value in masked_costs(row).items()}
        fields = [f"    {json.dumps(n)}: {compact(value)}" for n, value in shown.items()]
        return self.text("  {\n" + ",\n".join(fields) + "\n  }")

    def csv(self, text: str) -> str:
        """Return the CSV, without the wall clock and the system."""
        rows = list(csv.DictReader(io.StringIO(text)))
        written = io.StringIO()
        writer = csv.DictWriter(written, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            assert row["OS"] == platform.system()
            cost = row["cost"] if row["cost"] == "N/A" else repr(masked_cost(float(row["cost"])))
            masked = {"OS": "system", "start_time": masked_time(row["start_time"]), "cost": cost}
            writer.writerow({**row, **masked})
        return self.text(written.getvalue())


def masked_time(stamp: str) -> str:
    """Return the form of a time."""
    return re.sub(r"\d", "0", re.sub(r"[+-]\d\d:\d\d$", "+00:00", stamp))


def masked_cost(cost: float | None) -> float | None:
    """Return money to six digits: a price depends on the time of day, which rounds it differently each time."""
    return cost and float(f"{cost:.6g}")


def masked_costs(value: Any) -> Any:
    """Return a value with all money in it, by its names, as ``masked_cost`` returns it."""
    if isinstance(value, Mapping):
        return {n: masked_cost(each) if str(n).endswith("cost") else masked_costs(each) for n, each in value.items()}
    return value


def compact(value: Any) -> str:
    """Return JSON on one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


class Messages(logging.Handler):
    """The logged messages, as text."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("eco2ai_callbacks"):
            self.said.append(f"{record.levelname}: {record.getMessage()}")


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    """Return the messages that are logged inside."""
    messages = Messages()
    logging.getLogger().addHandler(messages)
    try:
        yield messages.said
    finally:
        logging.getLogger().removeHandler(messages)


def play(script: Callable[[Told], None]) -> dict[str, str]:
    """Run a script in the working folder, and return its results by the endings of the golden files."""
    Path("root").mkdir()
    told, console = Told(), io.StringIO()
    with contextlib.redirect_stderr(console), logged() as messages:
        script(told)
    log = Path("eco2ai.jsonl")
    lines = log.read_text(encoding="utf-8").splitlines()
    # Ranks write side by side, in no certain order.
    order: dict[str, int] = {}
    for row in map(json.loads, lines):
        order.setdefault(row["writer"], row.get("rank", 0))
    lines.sort(key=lambda line: order[json.loads(line)["writer"]])
    masks = Masks(lines)
    found = {
        "log.json": "[\n" + ",\n".join(masks.row(json.loads(line)) for line in lines) + "\n]\n",
        "console.txt": masks.text(console.getvalue()),
        "returned.json": masks.text(pretty({"calls": told.calls, "logged": messages})),
    }
    table = Path("eco2ai.csv")
    if table.exists():
        found["csv"] = masks.csv(table.read_text(encoding="utf-8"))
    assert not registry_entries(), "a tracker has left its entry in the registry"
    return found


def pretty(values: Any) -> str:
    """Return JSON in the order of the values."""
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def compare(name: str, text: str) -> None:
    """Fail with a diff where a text is not what the file of the folder holds."""
    path = GOLDEN / name
    if os.environ.get(REGENERATE) == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    golden = path.read_text(encoding="utf-8") if path.exists() else ""
    diff = difflib.unified_diff(golden.splitlines(), text.splitlines(), f"golden/{name}", "now", lineterm="")
    assert text == golden, "\n".join([f"{name} is not what it was", *diff])


# --- the machine ----------------------------------------------------------------------------------------------------

JOB, MACHINE, DEVICE = "job", "machine", "device"


@dataclasses.dataclass
class Bench:
    """A virtual machine with a card, whose processor and memory are estimated."""

    clock: Clock
    cpu: Meter
    gpu: Meter
    ram: Meter
    machine: Any


def bench(clock: Clock) -> Bench:
    cpu = Meter(clock, "CPU model", {"cpu": 17.3}, {"cpu": method("cpu-model:vm", 0.6, 1.9, 0.0, False, JOB)})
    gpu = Meter(
        clock,
        "NVML",
        {"gpu:GPU-a": 71.9},
        {"gpu:GPU-a": method("nvml-energy", 0.95, 1.05, 0.125, True, DEVICE)},
        ["NVIDIA L4"],
    )
    ram = Meter(clock, "RAM model", {"ram": 2.7}, {"ram": method("ram-model", 0.5, 1.7, 0.0, False, MACHINE)})
    sources = (
        used(gpu, "NVML", "0: NVIDIA L4 (energy counter, whole device); chosen by auto: visible"),
        unused("RAPL", "absent: virtual machine"),
        used(cpu, "CPU model", "2 threads of an unknown AMD EPYC, 3.1 to 9.4 W each"),
        unused("board sensors", "not needed: NVML covers it", "displaced"),
        used(ram, "RAM model", "0.375 W/GiB of the job's memory"),
    )
    return Bench(clock, cpu, gpu, ram, machine(clock, (gpu, cpu, ram), sources, ("Google TPU v3",)))


def epoch_of(run: Tracker, clock: Clock, told: Told, epoch: int, planned: int) -> str | None:
    """Run an epoch with a validation, as an adapter measures it; return the sentence of a used-up budget."""
    told(f"enter('train', {epoch})", run.enter("train", epoch))
    clock.advance(4.1 + 0.3 * epoch)
    told("enter('validate')", run.enter("validate"))
    clock.advance(1.7)
    told("leave()", run.leave())
    clock.advance(0.6)
    metrics = {"loss": 0.5 / (epoch + 1), "accuracy": None, "note": "a text"}
    report = run.end_epoch(epoch, samples=640, tokens=12800, planned=planned, metrics=metrics)
    told(f"mark('epoch', {epoch})", report.usage)
    told(f"scalars({epoch})", figures(report))
    told(f"forecast({epoch + 1}, {planned})", report.forecast)
    return told(f"over_budget({epoch})", report.stop)


# --- the scripts ----------------------------------------------------------------------------------------------------


def fit(told: Told) -> None:
    """Run a training with all that records and loggers can hold."""
    at = bench(Clock(1000.0))
    run = begin(
        tracker(
            at.machine,
            project="golden",
            description="a scripted run",
            csv_file="eco2ai.csv",
            scalars="all",
            pue=1.25,
            price=0.31,
            max_energy_kwh=5.0,
            max_co2_kg=2.0,
        ),
        base="other",
    )
    at.clock.advance(3.2)  # set-up
    for epoch in range(4):
        epoch_of(run, at.clock, told, epoch, planned=6)
        at.clock.advance(0.4)  # saving
    run.write("metrics", {"learning_rate": 0.001, "nothing": float("nan")}, epoch=3)
    told("read()", run.read())
    told("enter('test')", run.enter("test"))
    at.clock.advance(2.3)
    tested = told("leave()", run.leave())
    told("stage_scalars('test')", run.figures.stage(tested, "test"))
    told("stage_scalars(prefix='eval_')", run.figures.stage(tested, prefix="eval_"))
    told("checkpoint", checkpoint(run))
    told("running", run.running)
    at.clock.advance(0.9)
    told("stop()", run.stop())
    told("total", run.total)
    told("job_total", run.figures.total)
    told("running", run.running)
    told("card_field()", run.model_card("fine-tuning"))


def resumed(told: Told) -> None:
    """Run a training that is interrupted, and continues from a checkpoint that holds more than the log."""
    clock = Clock(50.0)
    settings = {"csv_file": "eco2ai.csv", "scalars": "all", "pue": 1.25, "price": 0.31, "project": "golden"}
    at = bench(clock)
    first = begin(tracker(at.machine, **settings), base="other")
    clock.advance(2.2)
    for epoch in range(2):
        epoch_of(first, clock, told, epoch, planned=5)
    saved = told("checkpoint", checkpoint(first))
    told("enter('train', 2)", first.enter("train", 2))
    clock.advance(1.9)
    told("stop('interrupted')", first.stop("interrupted"))
    # Parts of it ran where the log was lost.
    more = {"energy_kwh": saved["energy_kwh"] + 0.004, "co2_kg": saved["co2_kg"] + 0.0002, "seconds": 300.5}
    at = bench(clock)
    second = begin(tracker(at.machine, **settings), base="other", saved={**saved, **more})
    told("same run", second.run_id == first.run_id)
    told("total", second.total)
    clock.advance(1.1)
    second.figures.training_begins(1)
    told("forecast(1, 5)", {})
    for epoch in (1, 2, 3):
        epoch_of(second, clock, told, epoch, planned=5)
    told("checkpoint", checkpoint(second))
    told("stop()", second.stop())
    told("card_field()", second.model_card())


def failing(told: Told) -> None:
    """Run a meter that raises in the middle, one that loses its channel, and an unknown stage."""
    at = bench(Clock(0.0))
    run = begin(tracker(at.machine, csv_file="eco2ai.csv", scalars="all", g_per_kwh=360.0), base="other")
    epoch_of(run, at.clock, told, 0, planned=4)
    at.gpu.fault = OSError(5, "Input/output error")
    epoch_of(run, at.clock, told, 1, planned=4)
    at.ram.failures = ("RAM model: the memory can no longer be read",)
    at.ram.watts = {}
    epoch_of(run, at.clock, told, 2, planned=4)
    at.cpu.fault = RuntimeError("a counter has gone\nwith a second line")
    at.clock.advance(1.5)
    told("mark('stage', stage='warm-up')", run.mark("stage", stage="warm-up"))
    told("stop()", run.stop())
    told("failures", failures(run))


def budget(told: Told) -> None:
    """Run a training that a budget of energy stops."""
    at = bench(Clock(7.0))
    run = begin(tracker(at.machine, g_per_kwh=360.0, max_energy_kwh=0.0005, forecast_after=1), base="other")
    for epoch in range(9):
        if epoch_of(run, at.clock, told, epoch, planned=9):
            break
    told("stop()", run.stop())
    told("over_budget() after the end", run.end_epoch().stop)


def emissions_budget(told: Told) -> None:
    """Run a custom loop that a budget of CO2e stops, with a PUE and without numbers of epochs."""
    at = bench(Clock(7.0))
    with tracker(at.machine, g_per_kwh=360.0, max_co2_kg=0.0001, pue=2.0) as run:
        for _ in range(9):
            at.clock.advance(2.5)
            report = run.end_epoch()
            told("mark()", report.usage)
            if told("over_budget()", report.stop):
                break


def unmeasured(told: Told) -> None:
    """Run on a machine where nothing can be read, at an unknown place."""
    clock = Clock(0.0)
    sources = (unused("NVML", "absent: no driver"), unused("RAM model", "failed while it was opened", "failed"))
    on = machine(clock, (), sources)
    run = begin(tracker(on, region=None, csv_file="eco2ai.csv", max_co2_kg=1.0, scalars="all"), base="other")
    for epoch in range(3):
        epoch_of(run, clock, told, epoch, planned=4)
    told("stop()", run.stop())
    told("card_field()", run.model_card())
    told("failures", failures(run))


def nested(told: Told) -> None:
    """Run a run inside another, at an unknown place: the world's figure has a wide band."""
    clock = Clock(20.0)
    outer, inner = (tracker(bench(clock).machine, project=name, region=None) for name in ("outer", "inner"))
    with outer:
        clock.advance(1.0)
        with inner:
            clock.advance(2.0)
            told("inner mark()", inner.mark())
        clock.advance(3.0)
        told("outer mark()", outer.mark())


def heartbeat(told: Told) -> None:
    """Write heartbeats inside an epoch: one for each time that the clock has moved."""
    at = bench(Clock(0.0))
    run = begin(tracker(at.machine, g_per_kwh=360.0, price=0.31, heartbeat_s=0.1, console=False), base="other")
    run.enter("train", 0)
    for number, seconds in enumerate((2.5, 61.25), 1):
        at.clock.advance(seconds)
        _wait_for(lambda number=number: Path("eco2ai.jsonl").read_text().count('"heartbeat"') >= number)
    told("mark('epoch', 0)", run.mark("epoch", 0))
    told("stop()", run.stop())


def _wait_for(good: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not good():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def two_ranks(told: Told) -> None:
    """Run two ranks on one host, in threads: each counts its own processes, and the first the card of both."""
    clock = Clock(100.0)
    table: list[Any] = [None, None]
    barrier = threading.Barrier(2, timeout=30)
    runs: list[Tracker] = []
    cpus: list[Meter] = []
    for rank in range(2):
        job = {"cpu": method("cpu-model:vm", 0.6, 1.9, 0.0, False, JOB)}
        cpu = Meter(clock, "CPU model", {"cpu": 17.3 + 4.4 * rank}, job)
        card = {"gpu:GPU-a": method("nvml-energy", 0.95, 1.05, 0.125, True, DEVICE)}
        gpu = Meter(clock, "NVML", {"gpu:GPU-a": 71.9}, card, ["NVIDIA L4"])
        sources = (used(gpu, "NVML", "0: NVIDIA L4 (energy counter, whole device); chosen by auto: visible"),)
        sources += (used(cpu, "CPU model", "2 threads"),)
        on = machine(clock, (gpu, cpu), sources, desktop=True)
        runs.append(tracker(on, scalars="all", pue=1.25, max_energy_kwh=0.001))
        cpus.append(cpu)

    def gather(rank: int) -> Gather:
        def gathered(mine: Any) -> list[Any]:
            table[rank] = mine
            barrier.wait()
            heard = list(table)
            barrier.wait()
            return heard

        return gathered

    def all_ranks(what: str, call: Callable[[Tracker, int], Any]) -> None:
        found: list[Any] = [None, None]

        def run(rank: int) -> None:
            found[rank] = call(runs[rank], rank)

        threads = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        for rank in range(2):
            told(f"rank {rank}: {what}", found[rank])

    all_ranks("start", lambda run, rank: begin(run, "other", None, (rank, 2), gather(rank)).running)
    clock.advance(1.3)
    for epoch in range(4):
        all_ranks("enter", lambda run, rank, epoch=epoch: run.enter("train", epoch))
        clock.advance(5.0 + 0.1 * epoch)
        all_ranks("enter('validate')", lambda run, rank: run.enter("validate"))
        clock.advance(0.8)
        all_ranks("leave()", lambda run, rank: run.leave())
        if epoch == 2:
            cpus[1].watts = {}  # no longer gives its channel
        reports: dict[int, EpochReport] = {}

        def end(run: Tracker, rank: int, epoch: int = epoch, reports: dict[int, EpochReport] = reports) -> Usage:
            reports[rank] = run.end_epoch(epoch, samples=100 + rank, planned=6)
            return reports[rank].usage

        all_ranks("mark", end)
        all_ranks("scalars", lambda run, rank, reports=reports: figures(reports[rank]))
        all_ranks("forecast", lambda run, rank, reports=reports: reports[rank].forecast)
        all_ranks("over_budget", lambda run, rank, reports=reports: reports[rank].stop)
    all_ranks("checkpoint", lambda run, rank: checkpoint(run))
    clock.advance(0.7)
    all_ranks("stop()", lambda run, rank: run.stop())
    all_ranks("job_total", lambda run, rank: run.figures.total)
    all_ranks("card_field()", lambda run, rank: run.model_card())
    all_ranks("failures", lambda run, rank: failures(run))
