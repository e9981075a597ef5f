"""What a job of real processes is counted with, however they fork, die and are waited for."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from jobs import Job

from eco2ai_callbacks.meters.cpu.busy import JobBusy
from eco2ai_callbacks.meters.cpu.process_tables import process_table

# Two ticks, for user and system time of processes that were waited for, and what an interpreter does beside burning.
NEAR = 0.03
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")


@linux
def test_what_this_process_waited_for_counts_finer_than_in_ticks() -> None:
    before = _charged()
    job = JobBusy()
    for _ in range(3):
        subprocess.run([sys.executable, "-I", "-S", "-c", "sum(range(100000))"], check=True)
    counted = job.read()
    assert counted == pytest.approx(_charged() - before, abs=0.005)


def _charged() -> float:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, whose))


@linux
def test_children_and_grandchildren_count_while_they_live_and_once_they_are_gone() -> None:
    script = """
def child():
    grandchild = start(lambda: (burn(0.2), ready(1), sleep()))
    burn(0.2); reached(1); ready(0); signal.pause()
pid = start(child); burn(0.1)
reached(0)
step()
os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)
step()
"""
    with Job(script) as script_job:
        job = JobBusy(script_job.pid)
        script_job.go()
        assert job.read() == pytest.approx(0.5, abs=NEAR)
        assert len(job.pids) == 3
        script_job.go()
        assert job.read() == pytest.approx(0.5, abs=NEAR)
        assert len(job.pids) == 2  # the grandchild is init's now and still the job's


@linux
def test_children_that_lived_and_died_between_two_reads_count() -> None:
    script = """
before = used()
for _ in range(8):
    os.waitpid(start(lambda: burn(0.06)), 0)
step(used() - before)
"""
    with Job(script) as script_job:
        job = JobBusy(script_job.pid)
        truth = script_job.go()
        assert truth > 0.48 - NEAR
        assert job.read() == pytest.approx(truth, abs=NEAR)


@linux
def test_a_killed_worker_counts_and_stays_counted() -> None:
    script = """
pid = start(lambda: (burn(0.3), ready(), sleep()))
step(reached())
os.kill(pid, signal.SIGKILL)
time.sleep(0.05)
step()
os.waitpid(pid, 0)
step()
"""
    with Job(script) as script_job:
        job = JobBusy(script_job.pid)
        truth = script_job.go()
        for _ in ("alive", "a zombie", "waited for"):
            assert job.read() == pytest.approx(truth, abs=NEAR)
            if _ != "waited for":
                script_job.go()


@linux
def test_workers_that_are_killed_together_with_their_parent_stay_counted() -> None:
    script = """
def parent():
    pids = [start(lambda n=n: (burn(0.15), ready(n), sleep())) for n in (1, 2)]
    reached(1); reached(2)
    shared[24:32] = struct.pack("2i", *pids)
    ready(0); signal.pause()
pid = start(parent)
reached(0)
step(0.3)
for worker in (*struct.unpack("2i", shared[24:32]), pid):
    os.kill(worker, signal.SIGKILL)
os.waitpid(pid, 0)
time.sleep(0.05)
step()
"""
    with Job(script) as script_job:
        job = JobBusy(script_job.pid)
        script_job.go()
        assert job.read() == pytest.approx(0.3, abs=NEAR)
        seen = job.read()
        script_job.go()
        assert seen <= job.read() < 0.3 + NEAR
        assert job.pids == (script_job.pid,)


@linux
def test_a_process_whose_middle_parent_exits_goes_on_counting() -> None:
    script = """
def orphan():
    burn(0.1); ready(1)
    reached(2)
    burn(0.1); ready(3); sleep()
def middle():
    start(orphan)
    burn(0.1); reached(1); ready(0); signal.pause()
pid = start(middle)
reached(0)
step()
os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)
step()
ready(2); reached(3)
step()
"""
    with Job(script) as script_job:
        job = JobBusy(script_job.pid)
        readings = []
        for _ in range(3):
            script_job.go()
            readings.append(job.read())
        assert readings[0] == pytest.approx(0.2, abs=NEAR)
        assert readings[1] == pytest.approx(0.2, abs=NEAR)
        assert readings[2] == pytest.approx(0.3, abs=NEAR + 0.02)  # it also waited, awake every millisecond
        assert readings == sorted(readings)


_DOUBLE_FORK = """
def middle():
    start(lambda: (time.sleep(0.05), burn(0.2), ready(), sleep()))
os.waitpid(start(middle), 0)
reached()
step()
"""


@linux
def test_what_forks_twice_counts_where_the_system_still_shows_whose_it_is() -> None:
    """The root adopts orphans where it is a subreaper, or process 1 of a container."""
    with Job("ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n" + _DOUBLE_FORK) as script_job:
        job = JobBusy(script_job.pid)
        script_job.go()
        assert job.read() == pytest.approx(0.2, abs=NEAR)
        assert len(job.pids) == 2


@linux
def test_what_forks_twice_before_it_was_seen_is_lost_where_init_adopts_it() -> None:
    with Job(_DOUBLE_FORK) as script_job:
        job = JobBusy(script_job.pid)
        script_job.go()
        assert job.read() == pytest.approx(0.0, abs=NEAR)
        assert job.pids == (script_job.pid,)


@linux
def test_a_parent_that_ignores_its_children_s_deaths_keeps_what_was_seen() -> None:
    script = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
pid = start(lambda: (burn(0.2), ready(), sleep()))
step(reached())
os.kill(pid, signal.SIGKILL)
time.sleep(0.05)
step()
"""
    with Job(script) as script_job:
        job = JobBusy(script_job.pid)
        truth = script_job.go()
        assert job.read() == pytest.approx(truth, abs=NEAR)
        script_job.go()
        assert job.read() == pytest.approx(truth, abs=NEAR)


@pytest.mark.slow
@linux
def test_under_steady_forking_and_dying_nothing_is_lost_and_the_count_never_falls() -> None:
    """Burning children end at any moment of a look; the truth is what the system charges the job with in the end."""
    script = """
import random
import resource
random.seed(1)
before = used()
living = set()
def work():
    if random.random() < 0.3:
        os.waitpid(start(lambda: burn(0.01)), 0)
    burn(0.012)
for number in range(80):
    random.seed(number)
    living.add(start(work))
    if len(living) > 3:
        pid, _ = os.wait(); living.discard(pid)
for pid in living:
    os.waitpid(pid, 0)
step(used() - before)
"""
    with Job(script) as script_job:
        job = JobBusy(script_job.pid)
        readings = [0.0]
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                readings.append(job.read())

        reader = threading.Thread(target=read)
        reader.start()
        try:
            truth = script_job.go()
        finally:
            done.set()
            reader.join()
        readings.append(job.read())
    assert len(readings) > 100
    assert readings == sorted(readings)
    assert truth > 0.9
    assert readings[-1] == pytest.approx(truth, rel=0.03, abs=NEAR)


# --- without procfs ---------------------------------------------------------------------------------------------------


def test_without_procfs_the_tree_comes_through_psutil(tmp_path: Path) -> None:
    """Systems without it do not say what was waited for: what was last seen of a child stays counted."""
    script = """
pid = start(lambda: (burn(0.2), ready(), sleep()))
step(reached())
os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)
step()
"""
    with Job(script) as script_job:
        job = JobBusy(script_job.pid, tmp_path / "none")
        truth = script_job.go()
        assert job.read() == pytest.approx(truth, abs=NEAR)
        assert len(job.pids) == 2
        script_job.go()
        assert job.read() == pytest.approx(truth, abs=NEAR)
        assert job.pids == (script_job.pid,)


@linux
def test_a_real_child_is_younger_than_the_present_before_it() -> None:
    table = process_table(os.getpid(), Path("/proc"))
    began = table.now()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        (key,) = (key for key in table.family({}) if table.local(key.pid) == child.pid)
        assert key.started >= began
        child.communicate(b"\n")
