"""Boards that fail, hang or are shared, by the real ``nvidia-ml-py`` and a library that the tests compile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gpu_logs import A100, ENERGY, P100, POWER, A, B, adding, check_sums, source
from logcheck import Row, check_whole, rows
from nvml_stub import NvmlStub, ended

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.session.context import Platform

TRACKED = """
import json, logging, time
from eco2ai_callbacks import Tracker
logging.getLogger("eco2ai_callbacks").addHandler(logging.NullHandler())
run = Tracker(region="FR", console=False, heartbeat_s=0, gpus={gpus!r}, sample_s=0.1)
with run:
    for epoch in range(4):
        time.sleep(0.05)
        run.mark(epoch=epoch)
print(json.dumps(True))
"""


def tracked(stub: NvmlStub, gpus: Any = "auto", **environ: str) -> list[Row]:
    """The log of four epochs of 0.05 s without a framework."""
    assert stub.run(TRACKED.format(gpus=gpus), **environ) is True
    return rows()


def test_without_a_driver_nothing_is_called_and_nothing_fails(stub: NvmlStub) -> None:
    log = tracked(stub, **stub.without_driver())
    check_whole(log)
    assert source(log)["reason"] == "no NVIDIA driver"
    assert not stub.calls()


def test_where_the_variable_hides_all_the_driver_is_not_touched(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    log = tracked(stub, CUDA_VISIBLE_DEVICES="")
    check_whole(log)
    assert source(log)["reason"] == "no GPU is selected: CUDA_VISIBLE_DEVICES hides them all"
    assert not stub.calls()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (9, "no NVIDIA driver"),
        (18, "driver and library versions differ"),
        (4, "insufficient permissions"),
        (17, "blocked by the operating system"),
        (999, "an unknown error"),
    ],
)
def test_a_driver_that_cannot_be_used_is_named_in_the_start_record(stub: NvmlStub, code: int, reason: str) -> None:
    stub.gpu(A, 250.0)
    stub.init(code)
    log = tracked(stub)
    check_whole(log)  # with the processor's energy
    assert (source(log)["used"], source(log)["reason"]) == (False, reason)


def _no_board(stub: NvmlStub) -> None:
    """A driver, and nothing behind it."""


def _closed(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.fault("nvmlDeviceGetHandleByIndex_v2", code=4)


def _mute(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0, counter=False, power=False)


def _denied(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.fault(ENERGY, code=4)
    stub.fault(POWER, code=4)


def _mixed(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0, P100)


@pytest.mark.parametrize(
    ("board", "environ", "reason"),
    [
        (_no_board, {}, "the driver lists no GPU"),
        (_closed, {}, "GPU 0: insufficient permissions"),
        (_mute, {}, f"GPU 0 ({A100}): it tells neither its energy nor its power"),
        (_denied, {}, f"GPU 0 ({A100}): insufficient permissions"),
        (
            _mixed,
            {"CUDA_VISIBLE_DEVICES": "0"},
            "CUDA_VISIBLE_DEVICES numbers GPUs of different models in an order that only CUDA knows",
        ),
        (_mixed, {"CUDA_VISIBLE_DEVICES": "GPU-00"}, "no GPU is selected"),
    ],
    ids=["no board", "closed", "mute", "denied", "numbers", "not there"],
)
def test_boards_that_cannot_be_read_are_named_in_the_start_record(
    stub: NvmlStub, board: Callable[[NvmlStub], None], environ: dict[str, str], reason: str
) -> None:
    board(stub)
    log = tracked(stub, **environ)
    check_whole(log)
    assert (source(log)["used"], source(log)["reason"]) == (False, reason)
    assert stub.calls()["nvmlInitWithFlags"] == stub.calls()["nvmlShutdown"] == 1


def test_one_board_that_may_not_be_read_is_named_and_the_other_is_measured(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0)
    stub.fault(ENERGY, uuid=A, code=4)
    stub.fault(POWER, uuid=A, code=4)
    log = tracked(stub)
    check_sums(log)
    assert [row["failures"] for row in log] == [[f"NVML: GPU 0 ({A100}): insufficient permissions"]] * 6
    assert source(log)["methods"] == {f"gpu:{B}": "nvml-energy"}
    assert all(f"gpu:{B}" in row["joules"] and f"gpu:{A}" not in row["joules"] for row in adding(log))


@pytest.mark.parametrize("code", [3, 13])
def test_without_the_counter_s_function_power_is_integrated(stub: NvmlStub, code: int) -> None:
    stub.gpu(A, 250.0)
    stub.fault(ENERGY, code=code)
    log = tracked(stub)
    check_whole(log)
    assert source(log)["methods"] == {f"gpu:{A}": "nvml-power"}
    assert {row["method"][f"gpu:{A}"] for row in adding(log)} == {"nvml-power"}


def test_a_board_that_is_not_there_is_named_and_the_processor_is_measured(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    log = tracked(stub, [7])
    check_sums(log)
    assert log[0]["failures"] == log[-1]["failures"]
    assert "(from argument): 7 is no GPU of this machine" in log[-1]["failures"][0]
    assert "7 is no GPU of this machine" in source(log)["reason"]


def test_a_counter_that_is_reset_loses_that_stretch_and_says_so(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0, base_mj=0)
    # Of its seven answers: one at opening, one at the start, one for each of four marks and the end.
    stub.fault(ENERGY, after=3, value_mj=0)
    log = tracked(stub)
    check_sums(log)
    failure = f"NVML: GPU 0 ({A100}): its energy counter was reset, what it used since the read before is not counted"
    assert [row["failures"] for row in log] == [[]] * 2 + [[failure]] * 4
    joules = [row["joules"][f"gpu:{A}"] for row in log if row["event"] == "epoch"]
    assert joules[0] > 0
    assert joules[1:] == [0.0] * 3


@pytest.mark.slow
def test_a_board_that_hangs_is_left_out_and_the_training_waits_for_it_no_more(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    stub.gpu(B, 70.0)
    # After the answers at opening, at the start and to the first mark: two slow ones, and then none before the end.
    stub.fault(ENERGY, uuid=A, after=3, times=2, hang_ms=1200)
    stub.fault(ENERGY, uuid=A, after=3, times=1, hang_ms=30_000)
    log = tracked(stub)
    later = "what it used while it did not answer is in a later read"
    slow = f"NVML: GPU 0 ({A100}): two calls in a row took over 1 s; {later}"
    assert [slow in row["failures"] for row in log] == [False] * 3 + [True] * 3
    # The answers that came late count.
    assert [f"gpu:{A}" in row["joules"] for row in adding(log)] == [True, True, True, False, False]
    assert all(f"gpu:{B}" in row["joules"] for row in adding(log))
    assert stub.calls_of(A)[ENERGY] == 6
    assert log[-1]["total"]["seconds"] < 30.0
    check_sums(log)


@pytest.mark.slow
def test_training_waits_no_longer_than_a_second_for_a_thread_that_hangs(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0, counter=False)
    # The first answers are those at opening and at the start; the next is the thread's.
    stub.fault(POWER, after=2, times=1, hang_ms=30_000)
    script = TRACKED.replace(
        "    for epoch",
        f"""
    from pathlib import Path
    while Path({str(stub.folder / "calls")!r}).read_text().count({POWER!r}) < 3:
        time.sleep(0.01)
    for epoch""",
    ).replace("range(4)", "range(2)")
    assert stub.run(script.format(gpus="auto")) is True
    log = rows()
    check_sums(log)
    assert log[-1]["total"]["seconds"] < 30.0
    assert [row["failures"] for row in log] == [[]] + [["NVML: did not answer within 1 s"]] * 3
    assert all("cpu" in row["joules"] and f"gpu:{A}" not in row["joules"] for row in adding(log))


# What stands beside the measured


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("dev/kfd", "AMD GPU (ROCm)"),
        ("dev/accel0", "Google TPU"),
        ("dev/hl0", "Intel Gaudi (HPU)"),
        ("dev/neuron0", "AWS Neuron"),
    ],
)
def test_an_accelerator_that_nothing_can_read_is_named_in_record_and_console_line(
    path: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = tmp_path / "root" / path
    device.parent.mkdir(parents=True)
    device.touch()
    with Tracker(platform=Platform(root=tmp_path / "root", environ={}), region="FR", gpus=()) as run:
        run.mark(epoch=0)
    assert [row["not_covered"] for row in rows()] == [[name]] * 3
    assert f"not covered: {name}" in capsys.readouterr().err


SHARING = """
import sys, time
from pathlib import Path
from eco2ai_callbacks import Tracker

mine, other = sys.argv[1:]
def meet(where):
    Path(f"{where}-{mine}").touch()
    deadline = time.monotonic() + 60
    while not Path(f"{where}-{other}").exists():
        assert time.monotonic() < deadline, where
        time.sleep(0.01)

with Tracker(region="FR", console=False, gpus="all", log_file=f"{mine}.jsonl") as run:
    meet("started")
    run.mark(epoch=0)
    meet("marked")
"""


def test_two_jobs_on_one_gpu_name_each_other(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    first = stub.start("-W", "error", "-c", SHARING, "one", "two")
    second = stub.start("-W", "error", "-c", SHARING, "two", "one")
    for process in (first, second):
        ended(process)
    one, two = rows("one.jsonl"), rows("two.jsonl")
    check_whole(one)
    check_whole(two)
    assert one[1]["shared_with"] == [two[0]["run"]]
    assert two[1]["shared_with"] == [one[0]["run"]]


def test_a_run_shares_nothing_with_those_around_and_inside_it(stub: NvmlStub) -> None:
    stub.gpu(A, 250.0)
    script = """
from contextlib import ExitStack
from eco2ai_callbacks import Tracker
with ExitStack() as stack:
    runs = [
        stack.enter_context(Tracker(region="FR", console=False, gpus="all", log_file=f"{name}.jsonl"))
        for name in ("outer", "middle", "inner")
    ]
    for run in runs:
        run.mark(epoch=0)
print("{}")
"""
    stub.run(script)
    logs = [rows(f"{name}.jsonl") for name in ("outer", "middle", "inner")]
    assert [log[0]["parent"] for log in logs] == [None, logs[0][0]["run"], logs[1][0]["run"]]
    for log in logs:
        assert [row["shared_with"] for row in log] == [[]] * 3
    assert stub.calls()["nvmlInitWithFlags"] == stub.calls()["nvmlShutdown"] == 3  # once for each


# CUDA's work and devices
