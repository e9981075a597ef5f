"""The energy accumulator in the firmware's table."""

from __future__ import annotations

from pathlib import Path

import pytest
from amd_machines import MI200, MI300, NAVI, listed, metrics

from eco2ai_callbacks.meters.gpu.amd_metrics import energy_j


@pytest.mark.parametrize("minor", range(4, 9))
def test_the_accumulator_is_found_in_each_revision(tmp_path: Path, minor: int) -> None:
    """65536 steps of 2^-16 J are one joule."""
    file = tmp_path / "gpu_metrics"
    file.write_bytes(metrics(0, minor=minor, steps=1000 * 65536))
    assert energy_j(file, MI300) == 1000.0


def test_the_accumulator_is_found_in_a_table_that_is_a_list(tmp_path: Path) -> None:
    file = tmp_path / "gpu_metrics"
    file.write_bytes(listed(1000 * 65536))
    assert energy_j(file, MI300) == 1000.0


def test_an_older_table_counts_in_a_known_unit_on_instinct_cards_alone(tmp_path: Path) -> None:
    file = tmp_path / "gpu_metrics"
    file.write_bytes(metrics(500.0, minor=3))
    assert energy_j(file, MI200) == 500.0
    with pytest.raises(ValueError, match=r"no accumulator of a known unit in revision 1\.3"):
        energy_j(file, NAVI)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (b"", "no table"),
        (metrics(1.0)[:40], "cut off"),
        (metrics(1.0, steps=0), "not known"),
        (metrics(1.0, steps=2**64 - 1), "not known"),
        (metrics(1.0, major=2), r"revision 2\.3"),
        (metrics(1.0, minor=10), r"revision 1\.10"),
        (listed(65536, without=True), r"no accumulator of a known unit in revision 1\.9"),
        (listed(65536)[:30], "cut off"),
        (listed(65536)[:60], "cut off"),
        (listed(0), "not known"),
        (b"\x10\x00\x01\x09\x01\x00\x00\x00\x01\x1c\xf0\x00" + bytes(4), "a type that is not known"),
        (b"\x00" * 120, r"revision 0\.0"),
    ],
    ids=[
        "empty",
        "cut",
        "zero",
        "ones",
        "processor",
        "future",
        "none listed",
        "cut list",
        "cut accumulator",
        "zero listed",
        "odd type",
        "zeros",
    ],
)
def test_a_table_without_one_is_refused(tmp_path: Path, table: bytes, why: str) -> None:
    file = tmp_path / "gpu_metrics"
    file.write_bytes(table)
    with pytest.raises(ValueError, match=why):
        energy_j(file, MI200)
    with pytest.raises(FileNotFoundError):
        energy_j(tmp_path / "none", MI200)
