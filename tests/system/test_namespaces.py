"""A job in a PID namespace of its own, with the host's procfs, and with another's."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

UNSHARE = shutil.which("unshare")
CODE = """
import json, os, subprocess, sys
from eco2ai_callbacks.meters.cpu.busy import JobBusy
job = JobBusy()
burn = "import time\\nwhile time.process_time() < 0.3: pass\\ninput()"
child = subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
while job.read() < 0.3: pass
told = {"pid": os.getpid(), "members": len(job.pids), "of_child": len(JobBusy(child.pid).pids)}
child.communicate(b"\\n")
told["seconds"] = job.read()
told["waited"] = sum(os.times()[:4])
print(json.dumps(told))
"""


def allowed(*options: str) -> bool:
    """Whether this user may make such a namespace."""
    return UNSHARE is not None and subprocess.run([UNSHARE, *options, "true"], check=False).returncode == 0


@pytest.mark.skipif(not allowed("--pid", "--fork"), reason="needs the right to make PID namespaces")
@pytest.mark.parametrize("options", [[], ["--mount-proc"]], ids=["the host's procfs", "its own procfs"])
def test_the_first_process_of_a_namespace_is_the_job_s_root_and_not_the_machine_s(options: list[str]) -> None:
    assert UNSHARE is not None
    command = [UNSHARE, "--pid", "--fork", *options, sys.executable, "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    told = json.loads(done.stdout)
    assert (told["pid"], told["members"], told["of_child"]) == (1, 2, 1)
    assert 0.3 <= told["seconds"] <= told["waited"] + 0.03
