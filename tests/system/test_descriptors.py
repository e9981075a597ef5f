"""A process that has no file descriptor left for a moment is measured on once it has some again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from logcheck import rows

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")

EXHAUSTED = """
import json, os, resource, time
from eco2ai_callbacks import Tracker

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
run = Tracker(
    log_file="eco2ai.jsonl", console=False, region="FR", cpu_tdp_w=100.0, gpus=(), powercap_root="none"
).start()

def mark(epoch):
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    return dict(run.mark(epoch=epoch).joules)

marks, held = [mark(0)], []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    marks.append(mark(1))
finally:
    for descriptor in held:
        os.close(descriptor)
marks += [mark(2), mark(3)]
print(json.dumps([marks, dict(run.stop().joules)]))
"""


def test_the_cpu_s_channel_is_left_out_of_one_mark_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXHAUSTED], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    marks, total = json.loads(done.stdout)
    assert ["cpu" in mark for mark in marks] == [True, False, True, True]
    assert marks[2]["cpu"] > 1.5 * marks[3]["cpu"], "both stretches"
    assert total["cpu"] == pytest.approx(sum(mark.get("cpu", 0.0) for mark in marks), rel=0.05)
    last = rows(tmp_path / "eco2ai.jsonl")[-1]
    assert "CPU model: Too many open files (/proc/stat)" in last["failures"]
    assert last["total"]["energy_kwh"] == pytest.approx(sum(total.values()) / 3.6e6)
