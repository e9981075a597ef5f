from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from eco2ai_callbacks.host.limits import Limit, limits


def found(base: Path, files: Mapping[str, str]) -> list[Limit]:
    for name, content in files.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return list(limits(base / "proc", base / "sys"))


def test_a_set_of_threads_comes_with_their_numbers(tmp_path: Path) -> None:
    assert found(tmp_path, {"proc/self/status": "Name:\tpython\nCpus_allowed_list:\t0-2,8\n"}) == [
        Limit(4.0, cpus=frozenset({0, 1, 2, 8}))
    ]


@pytest.mark.parametrize("deep", ["", "/kubepods/pod1/main"], ids=["own namespace", "the host's"])
def test_a_quota_comes_with_the_group_that_has_it(tmp_path: Path, deep: str) -> None:
    folder = tmp_path / f"sys/fs/cgroup{deep}"
    files = {"proc/self/cgroup": f"0::{deep or '/'}\n", f"sys/fs/cgroup{deep}/cpu.max": "800000 100000\n"}
    assert found(tmp_path, files) == [Limit(8.0, group=folder)]


def test_each_ancestor_s_quota_counts(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/pod/main\n",
        "sys/fs/cgroup/pod/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/pod/main/cpu.max": "max 100000\n",
    }
    assert found(tmp_path, files) == [Limit(1.5, group=tmp_path / "sys/fs/cgroup/pod")]


def test_the_older_groups_have_quota_and_period_in_two_files(tmp_path: Path) -> None:
    base = "sys/fs/cgroup/cpu,cpuacct"
    files = {
        "proc/self/cgroup": "4:cpu,cpuacct:/docker/1234\n9:memory:/x\n",
        f"{base}/cpu.cfs_quota_us": "400000\n",
        f"{base}/cpu.cfs_period_us": "100000\n",
    }
    assert found(tmp_path, files) == [Limit(4.0, group=tmp_path / base)]


def test_where_nothing_is_known_there_is_no_limit(tmp_path: Path) -> None:
    assert found(tmp_path, {}) == []
