from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
from proc_tree import ProcTree

from eco2ai_callbacks.meters.cpu.busy import BusyTime, MachineBusy
from eco2ai_callbacks.meters.cpu.part import GroupBusy, part_busy
from eco2ai_callbacks.testing import BARE_METAL

HOST = dataclasses.replace(BARE_METAL, threads=64, allowed_threads=8.0)


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    return ProcTree(tmp_path)


def put(base: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(content)


def part(base: Path, allowed: float = 8.0, *, lxcfs: bool = False) -> BusyTime | None:
    host = dataclasses.replace(HOST, allowed_threads=allowed, lxcfs=lxcfs)
    return part_busy(host, base / "proc", base / "sys")


def test_a_quota_s_load_is_that_of_the_group_that_has_it(tree: ProcTree, tmp_path: Path) -> None:
    stat = "usage_usec {}\nuser_usec 1\nsystem_usec 2\nnr_periods 3\n"
    put(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/main\n",
            "sys/fs/cgroup/cpu.stat": stat.format(999_000_000),
            "sys/fs/cgroup/pod/cpu.max": "800000 100000\n",
            "sys/fs/cgroup/pod/cpu.stat": stat.format(12_500_000),
            "sys/fs/cgroup/pod/main/cpu.max": "1600000 100000\n",
            "sys/fs/cgroup/pod/main/cpu.stat": stat.format(1_000_000),
        },
    )
    busy = part(tmp_path)
    assert busy is not None
    assert busy.read() == pytest.approx(12.5)
    (tmp_path / "sys/fs/cgroup/pod/cpu.stat").write_text(stat.format(12_400_000))
    assert busy.read() == pytest.approx(12.5)  # never falls
    (tmp_path / "sys/fs/cgroup/pod/cpu.stat").write_text(stat.format(20_000_000))
    assert busy.read() == pytest.approx(20.0)
    inner = part(tmp_path, 16.0)
    assert inner is not None
    assert inner.read() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("quota", "usage"),
    [
        ("sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/cpu,cpuacct"),
        ("sys/fs/cgroup/cpu/job", "sys/fs/cgroup/cpuacct/job"),
    ],
    ids=["one folder", "two hierarchies"],
)
def test_the_older_groups_count_in_a_file_of_their_own(tree: ProcTree, tmp_path: Path, quota: str, usage: str) -> None:
    controllers = "cpu,cpuacct" if "," in quota else "cpu"
    put(
        tmp_path,
        {
            "proc/self/cgroup": f"4:{controllers}:/job\n",
            f"{quota}/cpu.cfs_quota_us": "800000\n",
            f"{quota}/cpu.cfs_period_us": "100000\n",
            f"{quota}/cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
            f"{usage}/cpuacct.usage": "7250000000\n",
        },
    )
    busy = part(tmp_path)
    assert busy is not None
    assert busy.read() == pytest.approx(7.25)


def test_the_load_of_a_set_of_threads_is_theirs_whoever_keeps_them_busy(tree: ProcTree, tmp_path: Path) -> None:
    lines = ["cpu  9000 0 0 0 0 0 0 0 0 0"] + [f"cpu{number} {100 + number} 0 0 5 5 0 0 9 0 0" for number in range(64)]
    put(tmp_path, {"proc/stat": "\n".join([*lines, "intr 5", "btime 1", ""])})
    put(tmp_path, {"proc/self/status": "Cpus_allowed_list:\t0-3,10-13\n"})
    busy = part(tmp_path)
    assert busy is not None
    assert busy.read() == pytest.approx(0.01 * (800 + 0 + 1 + 2 + 3 + 10 + 11 + 12 + 13))


def test_where_a_container_sees_only_itself_all_that_it_sees_is_its_load(tree: ProcTree, tmp_path: Path) -> None:
    tree.machine(user=500)
    for busy in (part(tmp_path, lxcfs=True), part(tmp_path, 64.0)):
        assert isinstance(busy, MachineBusy)
        assert busy.read() == 5.0


@pytest.mark.parametrize("content", [None, "", "nr_periods 0\n", "usage_usec\n"], ids=["none", "empty", "other", "cut"])
def test_a_quota_without_a_count_has_none(tree: ProcTree, tmp_path: Path, content: str | None) -> None:
    put(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "800000 100000\n"})
    if content is not None:
        put(tmp_path, {"sys/fs/cgroup/cpu.stat": content})
    assert part(tmp_path) is None


def test_a_part_that_no_limit_explains_has_no_count(tree: ProcTree, tmp_path: Path) -> None:
    assert part(tmp_path) is None


def test_a_group_that_cannot_be_read_for_a_moment_says_so(tmp_path: Path) -> None:
    busy = GroupBusy(tmp_path / "cpu.stat")
    with pytest.raises(FileNotFoundError):
        busy.read()
    (tmp_path / "cpu.stat").write_text("usage_usec 3000000\n")
    assert busy.read() == 3.0
