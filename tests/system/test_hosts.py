"""A job on two hosts: network and mount namespaces, each with a boot id of its own, joined by a cable that can be cut.

Each has a working folder of its own, as local disks are. `tox -e hosts` runs this; it needs Linux, torch, iproute2,
util-linux and the right to make namespaces.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.runlog.aggregate import Job, jobs
from eco2ai_callbacks.runlog.read import records
from eco2ai_callbacks.runlog.verify import verify

pytest.importorskip("torch")

IP, UNSHARE = shutil.which("ip"), shutil.which("unshare")
LIMIT_S = 240
# The process group's time-out in the script. It has to end by itself: torch's own default is 30 minutes.
TIME_OUT_S = 20

SCRIPT = """
import datetime, json, os, sys, time
from pathlib import Path
import torch.distributed as dist
from eco2ai_callbacks import Tracker

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

epochs = int(sys.argv[1])
dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=TIME_OUT))
run = Tracker(ranks="auto", region="FR", powercap_root="nowhere", heartbeat_s=0.5).start()
began, shown = time.process_time(), []
try:
    for epoch in range(epochs):
        run.enter("train", epoch)
        for step in range(5):
            burn(0.1)
            dist.barrier()
        shown.append(run.end_epoch(epoch).train["eco2ai/energy_kwh"])
        Path(f"epoch{epoch}").touch()
    cpu_s = time.process_time() - began
    run.stop()
except RuntimeError as error:
    cpu_s = time.process_time() - began
    run.stop("interrupted")
    Path("error").write_text(str(error))
Path("told.json").write_text(json.dumps({"cpu_s": cpu_s, "shown": shown}))
os._exit(0)
""".replace("TIME_OUT", str(TIME_OUT_S))


class Host:
    """A host: a network namespace with one end of the cable, and a folder.

    Args:
        number: 0 or 1.
        folder: Its working folder.
    """

    def __init__(self, number: int, folder: Path) -> None:
        self.number, self.folder = number, folder
        self.name = f"eco2ai-test-{os.getpid()}-{number}"
        self.cable = f"e2a{os.getpid() % 100_000}x{number}"
        self.address = f"10.213.77.{number + 1}"

    def torchrun(self, script: Path, *arguments: str) -> subprocess.Popen[str]:
        """Start the launcher on this host, with a boot id of its own."""
        boot_id = self.folder / "boot_id"
        boot_id.write_text(f"{uuid.uuid4()}\n")
        launcher = [
            *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"),
            *(f"--node-rank={self.number}", "--master-addr=10.213.77.1", "--master-port=29477"),
        ]
        mounted = 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"'
        inside = [str(UNSHARE), "--mount", "sh", "-c", mounted, "sh", str(boot_id), *launcher, str(script), *arguments]
        return subprocess.Popen(
            [str(IP), "netns", "exec", self.name, *inside],
            cwd=self.folder,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "GLOO_SOCKET_IFNAME": self.cable, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )

    @property
    def log(self) -> Path:
        """Its run log."""
        return self.folder / "eco2ai.jsonl"

    @property
    def told(self) -> dict[str, object]:
        """What its process has written at its end."""
        found: dict[str, object] = json.loads((self.folder / "told.json").read_text())
        return found


def ip(*arguments: str) -> None:
    subprocess.run([str(IP), *arguments], check=True, capture_output=True, text=True)


def set_up(one: Host, two: Host) -> None:
    for host in (one, two):
        ip("netns", "add", host.name)
    ip("link", "add", one.cable, "netns", one.name, "type", "veth", "peer", "name", two.cable, "netns", two.name)
    for host in (one, two):
        ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", host.cable)
        ip("-n", host.name, "link", "set", host.cable, "up")
        ip("-n", host.name, "link", "set", "lo", "up")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    if IP is None or UNSHARE is None:
        pytest.skip("two hosts need the commands ip (iproute2) and unshare (util-linux)")
    folders = [tmp_path / f"host{number}" for number in range(2)]
    for folder in folders:
        folder.mkdir()
    one, two = (Host(number, folder) for number, folder in enumerate(folders))
    try:
        try:
            set_up(one, two)
            inside = [IP, "netns", "exec", one.name, UNSHARE, "--mount", "true"]
            subprocess.run(inside, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"two hosts need the right to make network and mount namespaces: {error.stderr.strip()}")
        yield one, two
    finally:
        for host in (one, two):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "delete", host.name)


def started(hosts: tuple[Host, Host], epochs: int) -> list[subprocess.Popen[str]]:
    script = hosts[0].folder.parent / "train.py"
    script.write_text(SCRIPT)
    return [host.torchrun(script, str(epochs)) for host in hosts]


def ended(launchers: list[subprocess.Popen[str]]) -> None:
    """Wait for launchers; none is left behind, also where one hangs."""
    try:
        printed = [launcher.communicate(timeout=LIMIT_S)[1] for launcher in launchers]
        assert [launcher.returncode for launcher in launchers] == [0, 0], "\n".join(printed)[-5000:]
    finally:
        for launcher in launchers:
            launcher.kill()


def the_job(hosts: tuple[Host, Host]) -> Job:
    found = jobs(record for host in hosts for record in records(host.log))
    assert len(found) == 1
    assert all(verify(host.log).whole for host in hosts)
    return next(iter(found.values()))


def check_cpu_time(hosts: tuple[Host, Host], job: Job) -> None:
    watts = re.search(r"([\d.]+) W per busy thread", hosts[0].log.read_text())
    assert watts is not None
    cpu_s = sum(float(host.told["cpu_s"]) for host in hosts)  # type: ignore[arg-type]
    assert job.total.joules["cpu"] / float(watts[1]) == pytest.approx(cpu_s, rel=0.05)


@pytest.mark.slow
def test_two_hosts_are_one_run_with_one_sum(hosts: tuple[Host, Host]) -> None:
    ended(started(hosts, epochs=2))
    job = the_job(hosts)
    assert job.said == "2 ranks"
    assert len(job.hosts) == 2
    check_cpu_time(hosts, job)
    shown = [host.told["shown"] for host in hosts]
    assert shown[0] == shown[1]
    (run,) = load([host.log for host in hosts])
    assert [epoch.energy_kwh for epoch in run.epochs] == pytest.approx(shown[0])
    assert run.states == ("finished",)


@pytest.mark.slow
def test_a_cable_that_is_cut_within_an_epoch_costs_no_record_and_keeps_nobody_waiting(hosts: tuple[Host, Host]) -> None:
    launchers = started(hosts, epochs=1000)
    end = time.monotonic() + LIMIT_S
    while not all((host.folder / "epoch1").exists() for host in hosts):
        assert time.monotonic() < end
        assert all(launcher.poll() is None for launcher in launchers)
        time.sleep(0.05)
    ip("-n", hosts[0].name, "link", "set", hosts[0].cable, "down")
    cut = time.monotonic()
    # A rank meets the time-out of its collective, and is over with what a run waits for at its end: 30 s at most.
    while not all((host.folder / "told.json").exists() for host in hosts):
        assert time.monotonic() - cut < TIME_OUT_S + 60, [
            host.number for host in hosts if not (host.folder / "told.json").exists()
        ]
        time.sleep(0.1)
    for launcher in launchers:  # they look for each other for minutes
        launcher.kill()
        launcher.communicate()
    job = the_job(hosts)
    assert job.said == "2 ranks"
    check_cpu_time(hosts, job)
    for host in hosts:
        assert (host.folder / "error").read_text()
        (own,) = load(host.log)
        assert own.states == ("interrupted",)
        assert {0, 1} <= {epoch.epoch for epoch in own.epochs}
