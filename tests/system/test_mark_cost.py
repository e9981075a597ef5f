"""What a mark asks of the system: files that are opened, folders that are listed, reads and writes, all counted."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.host.machine import process_identity, read_host
from eco2ai_callbacks.host.registry import Entry, Registry

pytestmark = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's /proc")

# A run without a card and a counter, as in a virtual machine and on a bare machine, where the memory has a model of its
# own. Counts what `MARKS` marks do, after some that come before.
SCRIPT = """
import dataclasses, json, os, sys, threading, time
from pathlib import Path
from eco2ai_callbacks import Tracker
from eco2ai_callbacks.host.machine import read_host
from eco2ai_callbacks.session.context import Platform

before, children, virtual = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "virtual"
MARKS = 20
ends = [os.pipe() for _ in range(children)]
for reading, writing in ends:
    if os.fork() == 0:
        for _, each in ends:
            os.close(each)
        os.read(reading, 1)  # until the parent has ended
        os._exit(0)
host = dataclasses.replace(read_host(), virtual=virtual, cpu_name="AMD EPYC 7763 64-Core Processor")
platform = dataclasses.replace(Platform(), host=lambda: host, registry=Path("trackers"))
opened, listed = [], []

def hook(event, args):
    if event == "open":
        opened.append(str(args[0]))
    elif event in ("os.listdir", "os.scandir"):
        listed.append(str(args[0]))

def counted():
    text = Path("/proc/self/io").read_text()
    return {name: int(value) for name, _, value in (line.partition(": ") for line in text.splitlines())}

called, counting = [0], []

def profile(frame, event, arg):
    if counting and event == "call":
        called[0] += 1

threading.setprofile(profile)  # of the tracker's thread, which does the work
run = Tracker(
    region="FR", log_file="eco2ai.jsonl", console=False, gpus=(), powercap_root="none", heartbeat_s=0, platform=platform
).start()
time.sleep(0.1)  # longer than what a folder's time of change may hide
for epoch in range(before):
    run.mark(epoch=epoch)
sys.addaudithook(hook)
own = counted()
own = {name: value - own[name] for name, value in counted().items()}  # of the look itself
del opened[:], listed[:]
first = counted()
counting.append(True)
for epoch in range(MARKS):
    run.mark(epoch=before + epoch)
counting.clear()
last = counted()
print(json.dumps({
    "opened": sorted(name for name in opened if name != "/proc/self/io"),
    "listed": list(listed),
    "reads": (last["syscr"] - first["syscr"] - own["syscr"]) / MARKS,
    "writes": (last["syscw"] - first["syscw"] - own["syscw"]) / MARKS,
    "calls": called[0] / MARKS,
    "threads": [each.name for each in threading.enumerate()],
}))
run.stop()
"""
MARKS = 20


def counted(folder: Path, before: int = 5, children: int = 0, machine: str = "virtual") -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(before), str(children), machine],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    found["names"] = {name.rpartition("/")[2] for name in found["opened"]}
    found["opens"] = len(found["opened"]) / MARKS
    return found


def test_a_mark_opens_the_machine_s_load_and_the_log_and_lists_nothing(tmp_path: Path) -> None:
    found = counted(tmp_path)
    assert found["names"] == {"stat", "eco2ai.jsonl"}
    assert found["opened"].count("/proc/stat") == MARKS
    assert (found["opens"], found["listed"]) == (2.0, [])
    assert found["reads"] <= 2.0  # the load, and the log's last byte
    assert found["writes"] == 1.0
    assert found["threads"] == ["MainThread", "eco2ai"]
    # Functions of Python in the tracker's thread: a measure of its work that no other process disturbs.
    assert found["calls"] <= 140


def test_nor_does_it_where_many_epochs_went_before_and_many_others_run(tmp_path: Path) -> None:
    host = read_host().hash
    registry = Registry(host, tmp_path / "trackers")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        time.sleep(0.5)  # until it runs its program: what it was forked from has another image
        started, image = process_identity(other.pid)
        one = Entry("w", "run", host, other.pid, started or 0.0, 1.0, image=image)
        for number in range(50):
            registry.enter(dataclasses.replace(one, writer=f"w{number}", run=f"run{number}", devices=("GPU-a",)))
        found = counted(tmp_path, before=500)
        other.communicate(b"\n")
    assert (found["opens"], found["listed"]) == (2.0, [])
    assert (found["reads"] <= 2.0, found["writes"]) == (True, 1.0)


@pytest.mark.parametrize("children", [0, 4])
def test_of_each_process_that_has_come_to_rest_only_its_memory_is_read(tmp_path: Path, children: int) -> None:
    found = counted(tmp_path, children=children, machine="bare")
    most = 2 + (1 + children)  # the load, the log, and each process's memory
    if children:
        most += 3  # this process's status, the id that was given out last, and the memory of the machine
    # Others on the machine may begin processes meanwhile: then the lists of children are read as well, of each once.
    lists = [name for name in found["opened"] if name.endswith("/children")]
    assert len(found["opened"]) - len(lists) <= most * MARKS
    assert not [name for name in found["listed"] if name == "/proc"]
