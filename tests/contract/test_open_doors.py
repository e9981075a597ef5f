"""A new meter and a new sink are one class and one line each; no other module has to change for them."""

from __future__ import annotations

import ast
import csv
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from logcheck import rows

import eco2ai_callbacks
from eco2ai_callbacks import Tracker
from eco2ai_callbacks.carbon.grid import grid_for
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.discovery import CANDIDATES, Candidate, Discovery, MeterContext, discover
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.sinks import SINKS, OpenSink, Sink
from eco2ai_callbacks.testing import CLOUD_VM, Clock, FakeGpu, FakeMeter, FakeNvml, fake_platform
from eco2ai_callbacks.usage import Method


class AmdMeter:
    """A counter of one AMD GPU, which draws 300 W."""

    name = "ROCm"
    covers = frozenset({"gpu"})
    max_gap_s = float("inf")
    devices = (Device("amd", 0, "GPU-amd", "AMD Instinct MI300X"),)
    failures: tuple[str, ...] = ()

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._began = clock, clock()
        self.methods = {"gpu:GPU-amd": Method("rocm-energy", 0.95, 1.05, counter=True, scope="device")}

    def read(self) -> dict[str, float]:
        return {"gpu:GPU-amd": 300.0 * (self._clock() - self._began)}

    def close(self) -> None:
        pass


# The one line of a new meter.
AMD = Candidate("ROCm", frozenset({"gpu:amd"}), lambda settings, context: [(AmdMeter(context.clock), "one GPU")])


class Kept:
    """A sink that keeps what it gets."""

    name = "kept"

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.closed = 0

    def write(self, record: Record) -> None:
        assert not self.closed
        self.records.append(record)

    def close(self) -> None:
        self.closed += 1


@dataclasses.dataclass
class Machine:
    """A virtual machine with an NVIDIA GPU of 100 W and an AMD GPU."""

    root: Path
    clock: Clock = dataclasses.field(default_factory=Clock)

    def __post_init__(self) -> None:
        (self.root / "dev").mkdir(parents=True)
        (self.root / "dev/kfd").touch()

    def platform(self, candidates: Iterable[Candidate] = CANDIDATES, sinks: Iterable[OpenSink] = SINKS) -> Platform:
        nvml = FakeNvml(self.clock, FakeGpu("GPU-nvidia", "NVIDIA L4"))

        def find(settings: Settings, context: MeterContext, guard: Guard) -> Discovery:
            return discover(settings, dataclasses.replace(context, nvml=nvml), guard, candidates)

        return Platform(
            clock=self.clock,
            host=lambda: CLOUD_VM,
            discover=find,
            sinks=tuple(sinks),
            environ={},
            root=self.root,
            registry=self.root / "registry",
        )

    def run(self, platform: Platform) -> list[dict[str, Any]]:
        """Train for an epoch of ten seconds; return the lines of the log."""
        log = self.root / "log.jsonl"
        settings = {"log_file": log, "csv_file": self.root / "emission.csv", "region": "FR", "heartbeat_s": 0.0}
        with Tracker(platform=platform, **settings) as tracker:
            self.clock.advance(10.0)
            tracker.mark(epoch=0)
        return rows(log)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


def test_a_second_vendors_meter_is_used_beside_nvml(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    start, epoch, _stop = machine.run(machine.platform((*CANDIDATES, AMD)))
    assert [source["name"] for source in start["sources"] if source["status"] == "used"] == [
        "NVML",
        "CPU model",
        "ROCm",
    ]
    assert epoch["joules"]["gpu:GPU-nvidia"] == pytest.approx(1000.0)
    assert epoch["joules"]["gpu:GPU-amd"] == pytest.approx(3000.0)
    assert epoch["attribution"]["gpu:GPU-amd"] == "whole device"
    assert epoch["measured_share"] > 0.9
    assert "measured: gpu by nvml-energy, gpu by rocm-energy | estimated: cpu+ram by cpu-model:vm" in (
        capsys.readouterr().err
    )
    with (machine.root / "emission.csv").open(newline="") as file:
        assert {row["GPU_name"] for row in csv.DictReader(file)} == {
            "NVIDIA L4 1 device(s), AMD Instinct MI300X 1 device(s)"
        }


def test_what_it_reads_is_no_longer_named_as_not_covered(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    before = machine.run(machine.platform())
    assert before[-1]["not_covered"] == ["AMD GPU (ROCm)"]
    assert "not covered: AMD GPU (ROCm)" in capsys.readouterr().err
    after = machine.run(machine.platform((*CANDIDATES, AMD)))
    assert after[-1]["not_covered"] == []
    assert "not covered" not in capsys.readouterr().err


def test_a_sink_gets_every_record_and_is_closed_once(machine: Machine) -> None:
    kept = Kept()

    def open_kept(settings: Settings, host: Host) -> Sink:
        assert (settings.project, host) == (Settings().project, CLOUD_VM)
        return kept

    log = machine.run(machine.platform(sinks=(*SINKS, open_kept)))
    assert [record.event for record in kept.records] == [row["event"] for row in log] == ["start", "epoch", "stop"]
    assert [record.joules for record in kept.records] == [row["joules"] for row in log]
    assert kept.closed == 1
    assert (machine.root / "emission.csv").exists()


def test_a_sink_of_a_session_that_cannot_begin_is_closed(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    class Mute(AmdMeter):
        @property
        def covers(self) -> frozenset[str]:  # type: ignore[override]
            raise RuntimeError("no answer")

    kept = Kept()
    platform = dataclasses.replace(
        machine.platform(sinks=(lambda *_: kept,)),
        discover=lambda *_: Discovery((Mute(machine.clock),), (), ()),
    )
    with Tracker(platform=platform, log_file=None, region="FR") as tracker:
        assert tracker.mark(epoch=0).total_j is None
    assert (kept.records, kept.closed) == ([], 1)


# --- no decision is taken by matching a sentence ----------------------------------------------------------------------

# What is written for people; `method` is the name of a method in a record.
TEXTS = frozenset({"reason", "attribution", "failure", "method", "detail", "hint", "verdict"})
MATCHING = frozenset(
    {
        *("startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "split", "rsplit"),
        *("splitlines", "find", "rfind", "index", "count", "replace"),
        *("match", "search", "fullmatch", "findall", "finditer", "sub"),
    }
)
FOLDERS = ("sinks", "session", "distributed", "meters")


def named(node: ast.expr) -> str:
    """Return the name of what an expression reads: of ``x``, ``y.x``, ``y["x"]`` and ``y.get("x")`` it is ``x``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
        return named(ast.Subscript(node.func.value, node.args[0]))
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def decisions_by_text(code: str) -> Iterator[int]:
    """Yield the lines on which a text for people is taken apart, searched or compared with another text."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MATCHING:
            # Of a module's functions only those of `re` search: `dataclasses.replace` copies.
            arguments = node.args if named(node.func.value) == "re" else []
            if {named(each) for each in (node.func.value, *arguments)} & TEXTS:
                yield node.lineno
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
                inside = isinstance(operator, ast.In | ast.NotIn) and named(right) in TEXTS
                equal = isinstance(operator, ast.Eq | ast.NotEq) and any(map(is_text, (left, right)))
                if inside or (equal and {named(left), named(right)} & TEXTS):
                    yield node.lineno


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('reason.startswith("not ")', True),
        ('source["reason"].partition(";")', True),
        ('source.get("reason").startswith("not ")', True),
        ('"whole machine" in method.attribution', True),
        ('"whole" not in record["attribution"]', True),
        ('re.search("[0-9]+", method.attribution)', True),
        ('source.reason == "not needed"', True),
        ('method.attribution.replace("whole", "part")', True),
        ('[each for each in failures if failure.startswith("NVML: ")]', True),
        ('method.scope == "job"', False),
        ('source["status"] != "displaced"', False),
        ("method in source['measured']", False),
        ("failure in failures", False),
        ("dataclasses.replace(method, scope='job')", False),
        ("file.name.startswith('intel-rapl')", False),
    ],
)
def test_the_check_finds_what_matches_sentences(code: str, found: bool) -> None:
    assert bool(list(decisions_by_text(code))) is found


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_decision_is_taken_by_matching_a_sentence(folder: str) -> None:
    files = sorted((Path(eco2ai_callbacks.__file__).parent / folder).rglob("*.py"))
    assert files
    lines = {f"{path.name}:{line}" for path in files for line in decisions_by_text(path.read_text(encoding="utf-8"))}
    assert not lines, f"a text for people decides something: {sorted(lines)}; give it a field of its own"


def off_peak(start: datetime, seconds: float) -> float:
    """A carbon intensity that depends on when the energy is used: here, on how long it takes."""
    assert start.tzinfo is not None
    return 100.0 if seconds < 50 else 300.0


def test_a_factor_that_changes_over_time_is_one_function() -> None:
    clock = Clock()
    meter = FakeMeter(clock, {"cpu": 3600.0})
    # The one line of a new source of factors.
    platform = fake_platform(clock, meter, grid=lambda *args: dataclasses.replace(grid_for(*args), factor=off_peak))
    with Tracker(platform=platform, region="FR", pue=1.5, console=False) as run:
        clock.advance(10.0)  # 0.01 kWh
        short = run.end_epoch(0)
        clock.advance(100.0)  # 0.1 kWh
        assert run.read().grams == pytest.approx(0.1 * 300 * 1.5)
        long = run.end_epoch(1)
    assert short.train["eco2ai/co2_kg"] == pytest.approx(0.01 * 100 * 1.5 / 1000)
    assert long.train["eco2ai/co2_kg"] == pytest.approx(0.1 * 300 * 1.5 / 1000)
    assert long.total["eco2ai/total_co2_kg"] == pytest.approx((1.0 + 30.0) * 1.5 / 1000)
    assert verify(Path("eco2ai.jsonl")).whole
