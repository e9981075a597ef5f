"""The real binding of NVIDIA's library, on one that the tests compile."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from nvml_stub import NvmlStub

A, B = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "GPU-e429a63e-c61c-4795-b757-5132caeb8e70"
ENERGY = "nvmlDeviceGetTotalEnergyConsumption"

# Each read lies between two looks at the clock, so that a machine that is busy makes the truth wide and not wrong.
TIMED = """
import json, time
from eco2ai_callbacks.meters.gpu.nvml import open_nvml

def timed(function):
    before = time.monotonic()
    value = function()
    return value, before, time.monotonic()

def stretch(first, last):
    used = {channel: last[0][channel] - first[0][channel] for channel in last[0]}
    return {"joules": used, "shortest": last[1] - first[2], "longest": last[2] - first[1]}
"""


SAMPLED = (
    TIMED
    + """
meter = open_nvml("all", sample_s=0.1)
first = last = timed(meter.read)
while last[1] - first[1] < 2.0:
    time.sleep(0.1)
    last = timed(meter.read)
meter.close()
print(json.dumps(stretch(first, last) | {"failures": meter.failures, "gap": meter.max_gap_s}))
"""
)


def assert_drawn(found: dict[str, Any], channel: str, watts: float) -> None:
    """The joules are those of a constant power, within a percent."""
    assert watts * found["shortest"] * 0.99 <= found["joules"][channel] <= watts * found["longest"] * 1.01


@pytest.mark.slow
def test_energy_is_within_a_percent_of_the_truth_by_counter_and_by_power(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0, "NVIDIA Tesla P100", counter=False)
    found = stub.run(SAMPLED)
    assert found["shortest"] >= 1.9
    assert_drawn(found, f"gpu:{A}", 250.0)
    assert_drawn(found, f"gpu:{B}", 70.0)
    assert (found["failures"], found["gap"]) == ([], 0.1)
    assert stub.calls()["nvmlInitWithFlags"] == stub.calls()["nvmlShutdown"] == 1


def test_the_real_binding_is_called_once_for_each_board_and_read(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0)
    script = """
import json
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
meter = open_nvml("all")
for _ in range({reads}):
    meter.read()
meter.close()
print(json.dumps(meter.rule))
"""
    stub.run(script.format(reads=0))
    opening = stub.calls()
    stub.run(script.format(reads=7))
    assert stub.calls() - opening == opening + type(opening)({ENERGY: 14})


LOOKED_AT = """
import json, pathlib, time
from eco2ai_callbacks import Tracker
from eco2ai_callbacks.runlog.read import records

with Tracker(region="FR", log_file="log.jsonl", console=False, gpus="all") as run:
    begun = time.monotonic()
    while run._lifetime.session._health._segment.keys() != {expected} and time.monotonic() - begun < 60:
        time.sleep(0.05)
    run.end_epoch(0)
last = [record for record in records(pathlib.Path("log.jsonl")) if record.event == "epoch"][0]
print(json.dumps([last.gpu_health, sorted(last.joules), last.failures]))
"""


def test_a_board_s_state_comes_through_the_real_binding_and_what_it_lacks_is_absent(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0)
    stub.state(A, load=(0, 0), clock_mhz=(1200, 1980), celsius=71, reasons=0x4)
    health, channels, failures = stub.run(LOOKED_AT.replace("{expected}", repr({A})))
    assert {f"gpu:{A}", f"gpu:{B}"} <= set(channels)
    assert failures == []
    assert health.keys() == {A}
    found = health[A]
    seconds, idle_j = found.pop("seconds"), found.pop("idle_j")
    assert idle_j == pytest.approx(250.0 * seconds, rel=0.05)
    assert found == {
        **{"index": 0, "busy": 0.0, "memory_busy": 0.0, "clock_mhz": 1200.0, "max_clock_mhz": 1980.0, "idle": 1.0},
        **{"temperature_c": 71.0, "hottest_c": 71.0, "power_limit_w": 500.0},
        **{"throttled": 1.0, "throttle": {"power cap": 1.0}},
    }
    # A board that reports none of it has been asked once.
    assert stub.calls_of(B)["nvmlDeviceGetUtilizationRates"] == 1


def test_a_state_that_fails_through_the_real_binding_costs_no_energy(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.state(A)
    stub.fault("nvmlDeviceGetUtilizationRates", code=15)  # NVML_ERROR_GPU_IS_LOST
    stub.fault("nvmlDeviceGetClockInfo", code=999)
    health, channels, failures = stub.run(LOOKED_AT.replace("{expected}", repr({A})))
    assert f"gpu:{A}" in channels
    assert failures == []
    assert not {"busy", "memory_busy", "idle", "idle_j", "clock_mhz"} & health[A].keys()
    assert (health[A]["temperature_c"], health[A]["throttled"]) == (60.0, 0.0)


@pytest.mark.slow
def test_a_window_below_the_counter_s_step_is_not_lost(stub: NvmlStub) -> None:
    stub.gpu(A, 300.0, step_ms=500)
    script = """
meter, before, after = timed(lambda: open_nvml("all"))
windows = [(0.0, before, after)]
while windows[-1][1] - before < 2.0:
    time.sleep(0.1)
    windows.append(timed(lambda: sum(meter.read().values())))
print(json.dumps([[value for value, _, _ in windows], windows[-1][1] - after, windows[-1][2] - before]))
"""
    values, shortest, longest = stub.run(TIMED + script)
    steps = [after - before for before, after in itertools.pairwise(values)]
    assert steps.count(0.0) > len(steps) / 2  # most windows show nothing
    assert all(step == pytest.approx(150.0 * round(step / 150.0), abs=0.01) for step in steps)
    assert 300.0 * shortest - 150.1 <= sum(steps) <= 300.0 * longest + 150.1


def test_slices_and_processes_come_through_the_real_binding(stub: NvmlStub) -> None:
    stub.gpu(A, 140.0, mig_slices=7)
    stub.mig(0, "MIG-one", 1, 0, 3)
    stub.mig(0, "MIG-two", 2, 0, 2)
    stub.process("MIG-two", 4242)
    stub.process("MIG-two", 1)
    script = """
import pathlib
proc = pathlib.Path("proc")
(proc / "self/ns").mkdir(parents=True)
(proc / "stat").touch()
(proc / "self/ns/pid").symlink_to("pid:[4026531836]")
meter = open_nvml("auto", job_pids=lambda: [4242], proc=proc)
first = timed(meter.read)
time.sleep(0.5)
found = stretch(first, timed(meter.read))
print(json.dumps([meter.rule, meter.methods["gpu:MIG-two"].attribution, found]))
"""
    rule, attribution, found = stub.run(TIMED + script)
    assert (rule, attribution) == ("auto: processes", "MIG 2/7 of device, shared with other processes")
    assert list(found["joules"]) == ["gpu:MIG-two"]
    assert_drawn(found, "gpu:MIG-two", 140.0 * 2 / 7)


def test_activity_modes_and_domains_come_through_the_real_binding(stub: NvmlStub) -> None:
    """Of A the first slice alone works: between 3/7 and all. Of B the job has 1/2 alike, and 3/4 by activity."""
    stub.gpu(A, 140.0, mig_slices=7)
    stub.mig(0, "MIG-one", 1, 0, 3)
    stub.mig(0, "MIG-two", 2, 0, 4)
    stub.shows("activity", A, 1, 90.0)
    stub.shows("activity", A, 2, 0.0)
    stub.gpu(B, 80.0, "NVIDIA L4")
    for pid, percent in ((4242, 60), (1, 20)):
        stub.process(B, pid)
        stub.shows("utilization", B, pid, percent)
    stub.shows("mode", B, 3)
    stub.shows("domain", B, 2, 45_000)
    stub.shows("domain", B, 1, 612_000)
    script = """
import pathlib
meter = open_nvml(["MIG-one", 1], job_pids=lambda: [4242], proc=pathlib.Path("none"))
first = timed(meter.read)
time.sleep(0.5)
found = stretch(first, timed(meter.read))
methods = [[m.name, m.attribution, m.measured, m.gap_j] for m in meter.methods.values()]
detail = meter.detail
meter.close()
print(json.dumps([found, methods, detail, meter.failures]))
"""
    found, methods, detail, failures = stub.run(TIMED + script)
    assert failures == []
    assert_drawn(found, "gpu:MIG-one", 140.0 * (3 / 7 + 1) / 2)
    assert_drawn(found, f"gpu:{B}", 80.0 * (1 / 2 + 3 / 4) / 2)
    assert [method[:3] for method in methods] == [
        ["nvml-energy:gpm", "MIG 3/7 of device, estimated by activity", False],
        [
            "nvml-energy:processes",
            "job's process tree, shared with other processes, with the guests that it is shared to (vGPU), "
            "estimated by activity",
            False,
        ],
    ]
    assert all(below_j == pytest.approx(above_j) and below_j > 0 for *_, (below_j, above_j) in methods)
    assert detail.endswith("not added to them: GPU 1 memory 45 W, GPU 1 module 612 W (at the start)")
    calls = stub.calls()
    assert calls["nvmlGpmSampleAlloc"] == calls["nvmlGpmSampleFree"] == 4


READS = """
import json, time
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
meter = open_nvml("all")
reads = [meter.read() for _ in range(4)]
print(json.dumps([[sorted(read) for read in reads], meter.failures]))
"""


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"code": 15, "after": 2}, "the GPU is lost"),
        ({"code": 16, "after": 2}, "the GPU needs a reset"),
        ({"code": 4, "after": 2}, "insufficient permissions"),
    ],
)
def test_a_board_that_goes_is_seen_through_the_real_binding(stub: NvmlStub, fault: dict[str, int], why: str) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0)
    stub.fault(ENERGY, uuid=A, **fault)
    reads, failures = stub.run(READS)
    assert reads == [[f"gpu:{A}", f"gpu:{B}"]] + [[f"gpu:{B}"]] * 3
    assert failures == [f"NVML: GPU 0 (NVIDIA A100-SXM4-80GB): {why}; its energy is missing from here on"]
    assert stub.calls_of(A)[ENERGY] == 3


@pytest.mark.parametrize("code", [10, 999])
def test_a_passing_fault_of_the_real_binding_is_tried_again(stub: NvmlStub, code: int) -> None:
    stub.gpu(A, 250.0)
    stub.fault(ENERGY, after=2, times=1, code=code)
    reads, failures = stub.run(READS)
    assert (reads, failures) == ([[f"gpu:{A}"]] * 4, [])
    assert stub.calls()[ENERGY] == 6


NAMED = """
import json
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
meter = open_nvml("all")
reads = [meter.read() for _ in range(2)]
print(json.dumps([sorted(reads[-1]), [device.name for device in meter.devices], meter.failures]))
"""


def test_a_name_that_is_not_utf_8_costs_no_board(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0, r"NVIDIA \xf8\x95\xa0\x81")
    stub.gpu(B, 70.0)
    assert stub.run(NAMED) == [[f"gpu:{A}", f"gpu:{B}"], ["NVIDIA GPU", "NVIDIA A100-SXM4-80GB"], []]


def test_an_id_that_is_not_utf_8_is_replaced_by_the_board_s_number(stub: NvmlStub) -> None:
    stub.gpu(r"GPU-\xff", 250.0)
    stub.gpu(B, 70.0)
    assert stub.run(NAMED)[0] == [f"gpu:{B}", "gpu:index-0"]


@pytest.mark.parametrize(
    "function",
    ["nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetMigMode", "nvmlDeviceGetComputeRunningProcesses_v3"],
)
@pytest.mark.parametrize("code", [2, 3, 7, 10, 13, 25, 999])
def test_a_driver_that_refuses_what_is_not_needed_costs_no_board(stub: NvmlStub, function: str, code: int) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0)
    stub.fault(function, uuid=A, code=code)
    first = "gpu:index-0" if function == "nvmlDeviceGetUUID" else f"gpu:{A}"
    assert stub.run(NAMED)[0] == sorted([first, f"gpu:{B}"])


def test_a_value_that_is_not_available_is_none(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.fault(ENERGY, value_mj=2**32 - 1)
    script = """
import json
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
print(json.dumps([method.name for method in open_nvml("all").methods.values()]))
"""
    assert stub.run(script) == ["nvml-power"]


@pytest.mark.slow
def test_a_hanging_call_of_the_real_binding_holds_nobody_up_twice(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0)
    # Two slow answers, one that is waited for by another thread, and from then on answers in time.
    stub.fault(ENERGY, uuid=A, after=2, times=3, hang_ms=1200)
    script = """
import json, time
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
meter = open_nvml("all")
channels = sorted(meter.methods)
old = []
began = time.monotonic()
while len(old) < 4 or old[-1]:
    time.sleep(0.01)
    joules = meter.read()
    old.append(sorted(meter.behind))
seconds = time.monotonic() - began
print(json.dumps([channels, sorted(joules), old, joules, seconds, meter.failures]))
"""
    channels, read, old, joules, seconds, failures = stub.run(script)
    assert channels == read == [f"gpu:{A}", f"gpu:{B}"]
    assert old[:3] == [[], [], []]
    assert all(each == [f"gpu:{A}"] for each in old[3:-1])
    assert len(old) > 4
    # Nothing is lost: the counter has gone on.
    assert joules[f"gpu:{A}"] == pytest.approx(250.0 / 70.0 * joules[f"gpu:{B}"], rel=0.05)
    assert joules[f"gpu:{A}"] <= 250.0 * seconds * 1.05
    assert failures == [
        "NVML: GPU 0 (NVIDIA A100-SXM4-80GB): two calls in a row took over 1 s; "
        "what it used while it did not answer is in a later read"
    ]


def test_a_counter_reset_is_seen_through_the_real_binding(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.fault(ENERGY, after=2, times=1, value_mj=5)
    reads, failures = stub.run(READS)
    assert reads == [[f"gpu:{A}"]] * 4
    assert "its energy counter was reset" in failures[0]
    assert "its energy counter jumped" in failures[1]  # back from the bogus value


def test_a_library_shut_down_by_others_is_found_again(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    found = stub.run("""
import json, pynvml
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
meter = open_nvml("all")
for _ in range(5):
    pynvml.nvmlShutdown()
    joules = meter.read()
    assert not meter.behind
meter.close()
print(json.dumps([list(meter.methods), list(joules), meter.failures]))
""")
    assert found == [[f"gpu:{A}"], [f"gpu:{A}"], []]
    assert stub.calls()["nvmlInitWithFlags"] == stub.calls()["nvmlShutdown"] == 6


def test_a_real_fork_is_refused(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    found = stub.run("""
import json, os
from eco2ai_callbacks.errors import Eco2AIError
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
meter = open_nvml("all")
child = os.fork()
if child == 0:
    try:
        meter.read()
        os._exit(1)
    except Eco2AIError:
        meter.close()
        os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps([status, list(meter.read())]))
meter.close()
print(json.dumps([status, list(meter.methods)]))
""")
    assert found == [0, [f"gpu:{A}"]]
    assert stub.calls()["nvmlShutdown"] == 1


UNAVAILABLE = """
import json
from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
try:
    open_nvml()
except MeterUnavailable as why:
    print(json.dumps([why.reason, why.hint is not None]))
"""


@pytest.mark.parametrize(
    ("code", "reason", "has_hint"),
    [
        (9, "no NVIDIA driver", False),
        (18, "driver and library versions differ", True),
        (4, "insufficient permissions", True),
    ],
)
def test_a_driver_that_cannot_be_used_says_why_through_the_real_binding(
    stub: NvmlStub, code: int, reason: str, has_hint: bool
) -> None:
    stub.gpu(A, 250.0)
    stub.init(code)
    assert stub.run(UNAVAILABLE) == [reason, has_hint]
    assert stub.calls() == {"nvmlInitWithFlags": 1}


def test_without_a_driver_nothing_is_called_and_nothing_said(stub: NvmlStub) -> None:
    assert stub.run(UNAVAILABLE, **stub.without_driver()) == ["no NVIDIA driver", False]
    assert not stub.calls()


def test_where_the_variable_hides_all_the_library_is_not_even_loaded(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    reason, _ = stub.run(UNAVAILABLE + 'import sys\nassert "pynvml" not in sys.modules', CUDA_VISIBLE_DEVICES="")
    assert reason == "no GPU is selected: CUDA_VISIBLE_DEVICES hides them all"
    assert not stub.calls()


def test_the_variable_chooses_through_the_real_binding(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0)
    script = """
import json
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
meter = open_nvml()
print(json.dumps([[device.to_dict() for device in meter.devices], meter.detail]))
"""
    (device,), detail = stub.run(script, CUDA_VISIBLE_DEVICES="1")
    assert device == {"vendor": "nvidia", "index": 1, "uuid": B, "name": "NVIDIA A100-SXM4-80GB"}
    assert detail == "1: NVIDIA A100-SXM4-80GB (energy counter, whole device); chosen by auto: visible"


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "agree"), [(1.15, False), (1.05, True)])
def test_the_check_names_a_difference_above_a_tenth(stub: NvmlStub, factor: float, agree: bool) -> None:
    stub.gpu(A, 200.0, power_factor=factor)
    script = """
import dataclasses, json
from eco2ai_callbacks.meters.gpu.cross_check import compare
print(json.dumps(list(map(dataclasses.asdict, compare(2.0)))))
"""
    (row,) = stub.run(script)
    assert row["difference"] == pytest.approx(factor - 1, abs=0.04)
    assert ("agree" in row["verdict"]) is agree


def test_the_notice_of_a_deprecated_package_is_not_printed_at_our_import(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    script = """
import json, sys, warnings
class Notice:
    has_warned_pynvml = False
    def find_spec(self, name, path, target=None):
        if name.startswith("pynvml") and not self.has_warned_pynvml:
            warnings.warn("The pynvml package is deprecated.", FutureWarning, stacklevel=2)
sys.meta_path.insert(0, Notice())
from eco2ai_callbacks.meters.gpu.nvml import open_nvml
filters = list(warnings.filters)
meter = open_nvml("all")
print(json.dumps([list(meter.methods), warnings.filters == filters]))
"""
    assert stub.run(script) == [[f"gpu:{A}"], True]


def test_importing_the_meter_loads_no_binding(stub: NvmlStub) -> None:
    script = 'import json, sys\nimport eco2ai_callbacks.meters.gpu.nvml\nprint(json.dumps("pynvml" in sys.modules))'
    assert stub.run(script) is False
    assert json.dumps(stub.calls()) == "{}"
