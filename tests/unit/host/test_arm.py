from __future__ import annotations

import pytest

from eco2ai_callbacks.host.arm import core_name, firmware_name


@pytest.mark.parametrize(
    ("implementer", "part", "threads", "expected"),
    [
        ("0x41", "0xd0c", 64, "ARM Neoverse-N1"),
        ("0x41", "0xd40", 2, "ARM Neoverse-V1"),
        ("0x41", "0xD4F", 72, "ARM Neoverse-V2"),
        ("0x41", "0xd08", 4, "ARM Cortex-A72"),
        ("0x41", "0xfff", 4, "ARM"),
        ("0x48", "0xd01", 128, "HiSilicon Kunpeng 920"),
        ("0x4e", "0x004", 8, "NVIDIA Carmel"),
        ("0x61", "0x022", 8, "Apple M1"),
        ("0x61", "0x028", 10, "Apple M1 Max"),
        ("0x61", "0x028", 20, "Apple M1 Ultra"),
        ("0x61", "0x039", 12, "Apple M2 Max"),
        ("0x61", "0x039", 24, "Apple M2 Ultra"),
        ("0x61", "0x000", 4, "Apple"),  # a guest of Apple's hypervisor
        ("0x6d", "0xd49", 4, "Microsoft Azure Cobalt 100"),
        ("0xc0", "0xac3", 128, "AmpereOne"),
        ("0xee", "0x001", 4, ""),
    ],
)
def test_a_core_has_the_name_of_its_numbers(implementer: str, part: str, threads: int, expected: str) -> None:
    assert core_name({"CPU implementer": implementer, "CPU part": part}, threads) == expected


@pytest.mark.parametrize("text", ["", "65", "0x", "Arm", "0x41 0x42"], ids=["empty", "decimal", "cut", "word", "two"])
def test_what_is_no_number_names_no_core(text: str) -> None:
    assert core_name({"CPU implementer": text, "CPU part": text}, 4) == ""
    assert core_name({}, 4) == ""


@pytest.mark.parametrize(
    ("version", "threads", "expected"),
    [
        ("AWS Graviton3", 64, "AWS Graviton3"),
        ("Ampere(R) Altra(R) Max Processor M128-30", 128, "Ampere(R) Altra(R) Max Processor M128-30"),
        ("Grace A02 900-2G530-0060-000", 72, "NVIDIA Grace CPU"),
        ("Grace A02 900-2G530-0060-000", 144, "NVIDIA Grace CPU Superchip"),
        ("virt-8.2", 4, ""),
        ("Not Specified", 4, ""),
        ("", 4, ""),
    ],
)
def test_the_firmware_s_name_counts_where_it_is_one(version: str, threads: int, expected: str) -> None:
    assert firmware_name(version, threads) == expected
