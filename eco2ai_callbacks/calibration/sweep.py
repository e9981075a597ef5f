"""Measure a machine under one load after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from eco2ai_callbacks.calibration.loads import Load

# After a change of load, before a step is measured: clocks, voltages and fans follow within some seconds.
SETTLE_S = 2.0
STEP_S = 8.0
QUICK_SETTLE_S = 1.0
QUICK_STEP_S = 3.0
# Other programs' busy threads, as a part of all, above which the idle step is no idle step.
BUSY_IDLE = 0.10


class LoadSource(Protocol):
    """What puts a load on the machine."""

    def put(self, load: Load) -> None:
        """Change the load."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was read at one moment.

    Args:
        t: Monotonic seconds.
        joules: Joules so far, by component.
        busy_s: Busy core-seconds of the machine so far.
        failures: What has failed so far.
    """

    t: float
    joules: dict[str, float]
    busy_s: float
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One load, measured.

    Args:
        load: The load that was asked for.
        start: When the measurement began, in monotonic seconds.
        end: When it ended.
        busy: Busy threads of the machine, its mean; that of other programs is in it.
        watts: Mean power by component.
        failures: What failed meanwhile; such a step is not used.
    """

    load: Load
    start: float
    end: float
    busy: float
    watts: dict[str, float]
    failures: tuple[str, ...] = ()


def plan(threads: int, *, quick: bool = False, gpu: bool = False) -> list[Load]:
    """Return the loads of a calibration, in an order in which the machine warms up slowly.

    Args:
        threads: Hardware threads to load.
        quick: Fewer loads.
        gpu: Add loads of the GPUs, alone and beside all threads.

    Example:
        >>> [load.label for load in plan(2, quick=True)][-4:]
        ['1 thread', '2 threads at 60 %', '2 threads at 80 %', '2 threads']
    """
    counts = sorted({max(1, round(threads * number / (4 if quick else 9))) for number in range(1, 5 if quick else 10)})
    counts = sorted({1, threads, *counts})
    parts = (0.2, 0.4, 0.6, 0.8) if quick else tuple(number / 10 for number in range(1, 10))
    full = [Load(count) for count in counts]
    partial = [Load(threads, part) for part in parts]
    loads = [Load(), *sorted(full + partial, key=lambda load: (load.threads * load.part, load.part))]
    if gpu:
        loads += [Load(gpu=0.5), Load(gpu=1.0), Load(threads, gpu=1.0)]
    return loads


def run(
    loads: Sequence[Load],
    source: LoadSource,
    read: Callable[[], Sample],
    *,
    settle_s: float = SETTLE_S,
    step_s: float = STEP_S,
    sleep: Callable[[float], None] = time.sleep,
    progress: Callable[[int, Load], None] | None = None,
    during: Callable[[Load], None] | None = None,
) -> list[Step]:
    """Put each load on the machine and measure it; the machine is idle again afterwards, whatever happens.

    Args:
        loads: The loads.
        source: What puts them on the machine.
        read: Reads counters and busy time.
        settle_s: Seconds between a change of load and its measurement.
        step_s: Seconds of each measurement.
        sleep: Waits.
        progress: Is told the number of each load before it begins.
        during: Runs while the load is on, after that time: the question for a reading of a meter.
    """
    steps = []
    try:
        for number, load in enumerate(loads):
            if progress is not None:
                progress(number, load)
            source.put(load)
            sleep(settle_s)
            before = read()
            sleep(step_s)
            if during is not None:
                during(load)
            steps.append(_step(load, before, read()))
    finally:
        source.close()
    return steps


def _step(load: Load, before: Sample, after: Sample) -> Step:
    seconds = after.t - before.t
    common = before.joules.keys() & after.joules.keys()
    watts = {component: (after.joules[component] - before.joules[component]) / seconds for component in sorted(common)}
    failures = tuple(failure for failure in after.failures if failure not in before.failures)
    return Step(load, before.t, after.t, (after.busy_s - before.busy_s) / seconds, watts, failures)


def complaints(steps: Sequence[Step], threads: int) -> list[str]:
    """Return what makes the steps doubtful, one sentence each.

    Args:
        steps: The measured steps.
        threads: Hardware threads of the machine.
    """
    found = []
    idle = [step for step in steps if step.load.threads == 0 and not step.load.gpu]
    if idle and max(step.busy for step in idle) > BUSY_IDLE * threads:
        busy = max(step.busy for step in idle)
        found.append(f"other programs kept {busy:.1f} of {threads} threads busy: calibrate again without them")
    short = [step for step in steps if step.busy < 0.8 * step.load.threads * step.load.part]
    if short:
        step = short[-1]
        found.append(
            f"only {step.busy:.1f} threads were busy where {step.load.label} were wanted: a quota or other programs "
            "held the load back"
        )
    if failed := [failure for step in steps for failure in step.failures]:
        found.append(f"{len(failed)} reads failed, and their steps are left out: {failed[0]}")
    return found
