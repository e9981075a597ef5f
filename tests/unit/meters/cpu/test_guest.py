from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from eco2ai_callbacks.meters.cpu.guest import FAMILIES, shown_threads_per_core, vcpu_of
from eco2ai_callbacks.testing import CLOUD_VM


@pytest.mark.parametrize(
    ("vendor", "shown", "unit"),
    [
        ("Amazon EC2 c7a.xlarge", 1, "core"),
        ("Amazon EC2 m7a.48xlarge", None, "core"),
        ("Amazon EC2 r7a.medium", 1, "core"),
        ("Amazon EC2 c6a.xlarge", 2, "thread"),
        ("Amazon EC2 c6a.xlarge", None, "thread"),
        ("Amazon EC2 c6a.xlarge", 1, "core"),
        ("Google Google Compute Engine", 1, "core"),
        ("Google Google Compute Engine", 2, "thread"),
        ("Google Google Compute Engine", None, "unknown"),
        ("QEMU Standard PC (Q35 + ICH9, 2009)", 1, "unknown"),
        ("QEMU Standard PC (Q35 + ICH9, 2009)", 2, "thread"),
        ("Microsoft Corporation Virtual Machine", 1, "unknown"),
        ("Amazon EC2", 1, "unknown"),
        ("Amazon EC2 Amazon EC2", 1, "unknown"),
        ("", 1, "unknown"),
    ],
)
def test_the_firmware_says_what_a_thread_is(vendor: str, shown: int | None, unit: str) -> None:
    assert vcpu_of(dataclasses.replace(CLOUD_VM, vendor=vendor), shown).unit == unit


def test_a_single_thread_of_google_s_may_be_half_a_core() -> None:
    host = dataclasses.replace(CLOUD_VM, vendor="Google Google Compute Engine", threads=1)
    assert vcpu_of(host, 1).unit == "unknown"


@pytest.mark.parametrize("vendor", ["Amazon EC2 c7g.xlarge", "QEMU", ""])
def test_arm_has_one_thread_a_core(vendor: str) -> None:
    assert vcpu_of(dataclasses.replace(CLOUD_VM, cpu_vendor="ARM", vendor=vendor), 1).unit == "thread"


def test_instance_types_and_sources_are_named() -> None:
    vcpu = vcpu_of(dataclasses.replace(CLOUD_VM, vendor="Amazon EC2 c7a.xlarge"))
    assert vcpu.instance == "c7a.xlarge"
    assert "Amazon EC2 User Guide" in vcpu.why
    assert all(family.source for family in FAMILIES)


@pytest.mark.parametrize(
    ("text", "threads"), [("0\n", 1), ("0,64\n", 2), ("0-1\n", 2), ("0-3,8-11", 8), ("", None), ("odd", None)]
)
def test_the_kernel_shows_the_threads_of_a_core(tmp_path: Path, text: str, threads: int | None) -> None:
    folder = tmp_path / "devices/system/cpu/cpu0/topology"
    folder.mkdir(parents=True)
    (folder / "thread_siblings_list").write_text(text)
    assert shown_threads_per_core(tmp_path) == threads
    assert shown_threads_per_core(tmp_path / "missing") is None
