"""The CPU's figure against the truth that the system gives: core-seconds times the watts that the record states."""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from logcheck import rows

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.host.machine import read_host
from eco2ai_callbacks.meters.cpu.guest import shown_threads_per_core, vcpu_of
from eco2ai_callbacks.session.context import Platform

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc"),
    # Workers are forked beside the thread that writes heartbeats; it holds nothing that they need.
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

# CPU seconds of a child process: its interpreter's start is in them.
CHILD = "import time\nwhile time.process_time() < {}: sum(range(500))"


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """This machine, taken for a virtual one where it is none: there joules follow from core-seconds alone."""
    return Platform(
        host=lambda: dataclasses.replace(read_host(), virtual=True), registry=tmp_path / "registry", environ={}
    )


def used() -> float:
    """CPU seconds of this process and of the children that it has waited for, as the system charges them."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, whose))


def burn(seconds: float) -> None:
    """Use so much CPU time of this thread, however long it has to wait for a core."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(500))


def child(seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", CHILD.format(seconds)])


def in_threads(seconds: float, count: int = 2) -> None:
    threads = [threading.Thread(target=burn, args=(seconds / count,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_children(seconds: float, count: int = 2) -> None:
    for process in [child(seconds / count) for _ in range(count)]:
        assert process.wait() == 0


def in_short_lived_children(seconds: float) -> None:
    for _ in range(10):
        assert child(seconds / 10).wait() == 0


def in_grandchildren(seconds: float) -> None:
    """Each of two children burns a part and has a child of its own burn the other."""
    inner = f"[sys.executable, '-I', '-S', '-c', {CHILD.format(seconds / 4)!r}]"
    script = f"import subprocess, sys\nsubprocess.run({inner}, check=True)\n{CHILD.format(seconds / 4)}"
    for process in [subprocess.Popen([sys.executable, "-I", "-S", "-c", script]) for _ in range(2)]:
        assert process.wait() == 0


class Burning:
    """A dataset whose samples cost CPU time; in a forked worker its start is in that, as in any other child."""

    def __init__(self, size: int, seconds: float) -> None:
        self._size = size
        self._seconds = seconds
        self._pid = os.getpid()
        self._owed = 0.0

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> float:
        if os.getpid() == self._pid:
            burn(self._seconds)
        else:
            self._owed += self._seconds
            burn(self._owed - time.process_time())
        return self._seconds


def in_loader_workers(seconds: float) -> None:
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(Burning(8, seconds / 8), batch_size=2, num_workers=2)
    assert sum(float(batch.sum()) for batch in loader) == pytest.approx(seconds)


WAYS = [burn, in_threads, in_children, in_short_lived_children, in_grandchildren, in_loader_workers]


@dataclasses.dataclass
class Measured:
    """One mark: what was reported, and what the system says."""

    joules: float
    truth_s: float
    watts: float
    record: dict[str, Any]


def measure(platform: Platform, log: Path, work: Callable[[], None], **settings: Any) -> Measured:
    tracker = Tracker(platform=platform, log_file=log, console=False, region="FR", gpus=(), **settings)
    with tracker:
        before = used()
        work()
        truth = used() - before
        tracker.mark(epoch=0)
    record = next(r for r in rows(log) if r["event"] == "epoch")
    assert record["failures"] == []
    return Measured(record["joules"]["cpu"], truth, watts_of(record), record)


def watts_of(record: dict[str, Any]) -> float:
    """The watts of a busy thread, as the record states them."""
    stated = re.fullmatch(r"job's process tree, ([\d.]+) W per busy thread", record["attribution"]["cpu"])
    assert stated, record["attribution"]
    return float(stated[1])


@pytest.mark.parametrize("way", WAYS)
def test_the_joules_are_the_core_seconds_times_the_watts_that_the_record_states(
    platform: Platform, tmp_path: Path, way: Callable[[float], None]
) -> None:
    if way is in_loader_workers:
        pytest.importorskip("torch")  # its import is no part of the work
    found = measure(platform, tmp_path / "run.jsonl", lambda: way(1.0))
    assert found.truth_s >= 0.98
    assert found.joules == pytest.approx(found.truth_s * found.watts, rel=0.03)


def test_a_core_second_costs_the_same_wherever_it_is_spent(platform: Platform, tmp_path: Path) -> None:
    """A call costs more where it does more: to fork a large process, as a loader does, is work too."""
    pytest.importorskip("torch")
    figures = {}
    for way in (in_threads, in_children, in_loader_workers):
        found = measure(platform, tmp_path / f"{way.__name__}.jsonl", lambda way=way: way(2.5))
        assert found.truth_s >= 2.45
        figures[way.__name__] = found.joules / found.truth_s
    mean = sum(figures.values()) / len(figures)
    assert figures == {name: pytest.approx(mean, rel=0.03) for name in figures}


def test_marks_in_the_middle_of_a_burst_divide_it_and_lose_nothing(platform: Platform, tmp_path: Path) -> None:
    """Children that still run, that were just waited for and that come later, seen at many moments."""
    log = tmp_path / "run.jsonl"
    tracker = Tracker(platform=platform, log_file=log, console=False, region="FR", gpus=())
    with tracker:
        before = used()
        running = [child(0.25) for _ in range(3)]
        epoch = 0
        while any(process.poll() is None for process in running):
            burn(0.01)
            tracker.mark(epoch=epoch)
            epoch += 1
        truth = used() - before
    records = rows(log)
    total = sum(record["joules"]["cpu"] for record in records if record["event"] in ("epoch", "stop"))
    assert epoch > 5
    assert total == pytest.approx(truth * watts_of(records[-1]), rel=0.03)


def test_an_idle_stretch_costs_next_to_nothing(platform: Platform, tmp_path: Path) -> None:
    """The idle power of threads that nobody uses belongs to no job."""
    found = measure(platform, tmp_path / "run.jsonl", lambda: threading.Event().wait(0.5))
    # What looking itself costs is in it: some milliseconds.
    assert 0.0 <= found.joules == pytest.approx(found.truth_s * found.watts, abs=0.05 * found.watts)
    assert found.joules < 0.1 * 0.5 * found.watts * read_host().threads


def test_two_busy_threads_are_a_few_watts_where_a_whole_socket_would_be_hundreds(
    platform: Platform, tmp_path: Path
) -> None:
    found = measure(platform, tmp_path / "run.jsonl", lambda: in_children(0.6))
    # As long as both are busy: half of their CPU time.
    power = found.joules / (found.truth_s / 2)
    assert power == pytest.approx(2 * found.watts, rel=0.03)
    assert 2.0 < power < 20.0
    assert found.record["method"] == {"cpu": "cpu-model:vm"}
    low, high = found.record["band"]["cpu"]
    assert low == pytest.approx(found.joules / 3, abs=0.05)
    # Twice as much again where a thread may be a whole core, which depends on what this machine's kernel shows.
    times = 4 if vcpu_of(platform.host(), shown_threads_per_core()).unit == "unknown" else 2
    assert high == pytest.approx(found.joules * times, abs=0.2)
    machine = dataclasses.replace(read_host(), virtual=True, cpu_name="AMD EPYC", threads=2, allowed_threads=2.0)
    paper = Tracker(
        platform=dataclasses.replace(platform, host=lambda: machine),
        log_file=tmp_path / "paper.jsonl",
        console=False,
        region="FR",
        gpus=(),
        cpu_model="paper",
        cpu_tdp_w=280.0,
        ram_w_per_gib=0.0,
    )
    with paper:
        before = used()
        # Long enough that what forking costs a large test process does not matter.
        in_children(1.5)
        truth = used() - before
        joules = paper.mark(epoch=0).joules["cpu"]
    assert joules / (truth / 2) == pytest.approx(280.0 * machine.sockets, rel=0.05)


@pytest.mark.filterwarnings("default")  # Lightning's and torch's own
@pytest.mark.filterwarnings("error:::eco2ai_callbacks")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_fit_reports_the_core_seconds_that_it_burnt(platform: Platform, tmp_path: Path, workers: int) -> None:
    torch = pytest.importorskip("torch")
    pl = pytest.importorskip("lightning.pytorch")
    adapter = importlib.import_module("eco2ai_callbacks.lightning")
    spent: list[float] = []

    class Small(pl.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def on_fit_start(self) -> None:
            spent.append(used())

        def training_step(self, batch: Any, index: int) -> Any:
            burn(0.03)
            return self.layer(batch.float().unsqueeze(1)).sum()

        def on_fit_end(self) -> None:
            spent.append(used())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    log = tmp_path / "run.jsonl"
    settings = {"log_file": log, "console": False, "region": "FR", "gpus": ()}
    callback = adapter.Eco2AICallback.on_platform(platform, **settings)
    loader = torch.utils.data.DataLoader(Burning(8, 0.05), batch_size=2, num_workers=workers)
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_epochs=2,
        callbacks=[callback],
    )
    trainer.fit(Small(), loader)
    records = rows(log)
    joules = sum(record["joules"]["cpu"] for record in records if record["event"] in ("epoch", "stage", "stop"))
    truth = spent[1] - spent[0]
    assert truth > 2 * (8 * 0.05 + 4 * 0.03) * 0.98
    assert joules == pytest.approx(truth * watts_of(records[-1]), rel=0.03)
    for record in records:
        assert record["failures"] == []
