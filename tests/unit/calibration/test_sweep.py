from __future__ import annotations

from pathlib import Path

import pytest
from calibrations import FakeMachine

from eco2ai_callbacks.calibration.loads import Load
from eco2ai_callbacks.calibration.sweep import Sample, Step, complaints, plan, run


@pytest.mark.parametrize("threads", [1, 2, 8, 12, 64, 384])
@pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
def test_a_plan_goes_from_idle_to_full_on_some_threads_and_on_all_part_time(threads: int, quick: bool) -> None:
    loads = plan(threads, quick=quick)
    assert loads[0] == Load()
    assert loads[-1] == Load(threads)
    assert 6 <= len(loads) <= (10 if quick else 21)
    assert len(set(loads)) == len(loads)
    assert any(0 < load.part < 1 and load.threads == threads for load in loads)
    assert threads == 1 or Load(1) in loads
    busy = [load.threads * load.part for load in loads]
    assert busy == sorted(busy)


def test_a_plan_with_gpus_loads_them_alone_and_beside_all_threads() -> None:
    extra = [load for load in plan(4, gpu=True) if load.gpu]
    assert extra == [Load(gpu=0.5), Load(gpu=1.0), Load(4, gpu=1.0)]
    assert [load.label for load in extra] == ["GPU at 50 %", "GPU", "4 threads and GPU"]


def sample(machine: FakeMachine) -> Sample:
    stat = (machine.proc.root / "stat").read_text().split()
    joules = machine.tree.energy_uj(machine.package) / 1e6
    return Sample(machine.clock(), {"cpu": joules}, int(stat[1]) / 100)


def test_each_load_is_measured_after_it_has_settled(tmp_path: Path) -> None:
    machine = FakeMachine(tmp_path)
    told: list[int] = []
    steps = run(
        [Load(), Load(4), Load(12, 0.5)],
        machine,
        lambda: sample(machine),
        settle_s=2.0,
        step_s=8.0,
        sleep=machine.sleep,
        progress=lambda number, load: told.append(number),
    )
    assert [(step.busy, step.watts["cpu"]) for step in steps] == [
        (pytest.approx(0.0), pytest.approx(10.0)),
        (pytest.approx(4.0), pytest.approx(42.0)),
        (pytest.approx(6.0), pytest.approx(58.0)),
    ]
    assert [(step.start, step.end) for step in steps] == [(1002, 1010), (1012, 1020), (1022, 1030)]
    assert told == [0, 1, 2]
    assert machine.ended


def test_the_load_ends_whatever_happens(tmp_path: Path) -> None:
    machine = FakeMachine(tmp_path)

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([Load(12)], machine, lambda: sample(machine), sleep=interrupted)
    assert machine.ended
    assert machine.load == Load()


def test_failures_of_one_step_are_that_step_s(tmp_path: Path) -> None:
    machine = FakeMachine(tmp_path)
    failures: list[str] = []
    machine.on_tick = lambda: failures.append("gap") if machine.clock() == 1020 else None
    steps = run(
        [Load(), Load(1), Load(2)],
        machine,
        lambda: Sample(machine.clock(), {}, 0.0, tuple(failures)),
        settle_s=2.0,
        step_s=8.0,
        sleep=machine.sleep,
    )
    assert [step.failures for step in steps] == [(), ("gap",), ()]


def test_doubts_are_named() -> None:
    fine = [Step(Load(), 0, 8, 0.1, {}), Step(Load(12), 10, 18, 12.0, {})]
    assert complaints(fine, 12) == []
    assert "other programs kept 3.0 of 12 threads busy" in complaints([Step(Load(), 0, 8, 3.0, {}), fine[1]], 12)[0]
    assert (
        "only 6.0 threads were busy where 12 threads were wanted"
        in complaints([fine[0], Step(Load(12), 10, 18, 6.0, {})], 12)[0]
    )
    assert "1 reads failed" in complaints([Step(Load(), 0, 8, 0.1, {}, ("gap",))], 12)[0]
