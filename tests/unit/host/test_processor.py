from __future__ import annotations

import ctypes
import platform
import sys
from pathlib import Path

import pytest
from fake_systems import FakeLibc, FakeWinreg, windows
from smbios_table import table

from eco2ai_callbacks.host.processor import Processor, linux_processor, other_processor

NOWHERE = Path("/nonexistent")


# --- Linux ------------------------------------------------------------------------------------------------------------


def test_on_x86_the_processor_says_its_own_name() -> None:
    info = {"vendor_id": "AuthenticAMD", "cpu family": "25", "model": "1", "model name": "AMD EPYC 7R13 Processor"}
    assert linux_processor(info, 2, NOWHERE) == Processor("AMD EPYC 7R13 Processor", "AuthenticAMD", 25, 1)


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"cpu": "POWER9, altivec supported"}, Processor("POWER9")),
        ({"Model Name": "Loongson-3A5000"}, Processor("Loongson-3A5000")),
        ({"vendor_id": "IBM/S390"}, Processor("", "IBM/S390")),
        ({"model name": "ARMv7 Processor rev 3 (v7l)"}, Processor("ARMv7 Processor rev 3 (v7l)")),
        ({}, Processor()),
    ],
    ids=["power", "loongarch", "mainframe", "a name alone", "nothing"],
)
def test_other_processors_have_the_name_that_their_kernel_gives(info: dict[str, str], expected: Processor) -> None:
    assert linux_processor(info, 2, NOWHERE) == expected


def test_arm_s_cores_have_numbers_and_no_name() -> None:
    info = {"CPU implementer": "0x41", "CPU part": "0xd0c"}
    assert linux_processor(info, 64, NOWHERE) == Processor("ARM Neoverse-N1", "ARM")
    # A 32-bit kernel names the instruction set alone.
    old = {"model name": "ARMv7 Processor rev 3 (v7l)", "CPU implementer": "0x41", "CPU part": "0xd08"}
    assert linux_processor(old, 4, NOWHERE).name == "ARM Cortex-A72"
    unheard_of = {"model name": "ARMv8 Processor rev 0 (v8l)", "CPU implementer": "0xee", "CPU part": "0x001"}
    assert linux_processor(unheard_of, 4, NOWHERE).name == "ARMv8 Processor rev 0 (v8l)"
    assert linux_processor({"CPU implementer": "0x61", "CPU part": "0x023"}, 8, NOWHERE) == Processor(
        "Apple M1", "Apple"
    )


@pytest.mark.parametrize(
    ("version", "part", "expected"),
    [
        ("Ampere(R) Altra(R) Processor", "Q80-30", "Ampere(R) Altra(R) Processor Q80-30"),
        ("virt-8.2", "Not Specified", "ARM Neoverse-N1"),
    ],
    ids=["named", "placeholder"],
)
def test_the_firmware_s_name_comes_first_where_root_may_read_it(
    tmp_path: Path, version: str, part: str, expected: str
) -> None:
    folder = tmp_path / "firmware/dmi/tables"
    folder.mkdir(parents=True)
    (folder / "DMI").write_bytes(table(version, part))
    info = {"CPU implementer": "0x41", "CPU part": "0xd0c"}
    assert linux_processor(info, 80, tmp_path).name == expected
    # An x86 processor's own name is better than the firmware's.
    assert linux_processor({"model name": "AMD EPYC"}, 80, tmp_path).name == "AMD EPYC"


# --- macOS ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    return monkeypatch


def test_macos_names_its_processor_in_a_kernel_variable(mac: pytest.MonkeyPatch) -> None:
    mac.setattr(ctypes, "CDLL", lambda _: FakeLibc({"machdep.cpu.brand_string": "Apple M3 Max"}))
    assert other_processor("Darwin") == Processor("Apple M3 Max", "Apple")


def test_an_intel_interpreter_on_apple_s_chip_is_on_apple_s_chip(mac: pytest.MonkeyPatch) -> None:
    mac.setattr(platform, "machine", lambda: "x86_64")
    mac.setattr(ctypes, "CDLL", lambda _: FakeLibc({"machdep.cpu.brand_string": "Apple M1"}))
    assert other_processor("Darwin") == Processor("Apple M1", "Apple")
    mac.setattr(ctypes, "CDLL", lambda _: FakeLibc({"machdep.cpu.brand_string": "VirtualApple @ 2.50GHz"}))
    assert other_processor("Darwin") == Processor("Apple", "Apple")


def test_intel_s_macs_have_numbers_too(mac: pytest.MonkeyPatch) -> None:
    mac.setattr(platform, "machine", lambda: "x86_64")
    name = "Intel(R) Core(TM) i9-9880H CPU @ 2.30GHz"
    values = {"brand_string": name, "vendor": "GenuineIntel", "family": 6, "model": 158}
    mac.setattr(ctypes, "CDLL", lambda _: FakeLibc({f"machdep.cpu.{k}": v for k, v in values.items()}))
    assert other_processor("Darwin") == Processor(name, "GenuineIntel", 6, 158)
    mac.setattr(ctypes, "CDLL", lambda _: FakeLibc({}))
    assert other_processor("Darwin") == Processor("arm")


@pytest.mark.parametrize("error", [OSError, TypeError], ids=["no library", "no name"])
def test_a_c_library_that_cannot_be_asked_gives_no_name(mac: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def refuse(_: object) -> None:
        raise error

    mac.setattr(ctypes, "CDLL", refuse)
    assert other_processor("Darwin") == Processor("Apple", "Apple")
    mac.setattr(ctypes, "CDLL", lambda _: object())
    assert other_processor("Darwin") == Processor("Apple", "Apple")


# --- Windows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "vendor", "identifier", "expected"),
    [
        (
            "Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz",
            "GenuineIntel",
            "Intel64 Family 6 Model 142 Stepping 10",
            Processor("Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz", "GenuineIntel", 6, 142),
        ),
        (
            "AMD EPYC 7763 64-Core Processor                ",
            "AuthenticAMD",
            "AMD64 Family 25 Model 1 Stepping 1",
            Processor("AMD EPYC 7763 64-Core Processor", "AuthenticAMD", 25, 1),
        ),
        (
            "Snapdragon(R) X Elite - X1E80100 - Qualcomm(R) Oryon(TM) CPU",
            "Qualcomm Technologies Inc",
            "ARMv8 (64-bit) Family 8 Model 1 Revision 201",
            Processor("Snapdragon(R) X Elite - X1E80100 - Qualcomm(R) Oryon(TM) CPU", "ARM"),
        ),
    ],
    ids=["intel", "amd", "arm"],
)
def test_windows_names_its_processor_in_the_registry(
    monkeypatch: pytest.MonkeyPatch, name: str, vendor: str, identifier: str, expected: Processor
) -> None:
    monkeypatch.setitem(sys.modules, "winreg", windows(name, vendor, identifier))
    assert other_processor("Windows") == expected


@pytest.mark.parametrize("registry", [None, FakeWinreg({})], ids=["no module", "no key"])
def test_without_the_registry_the_library_s_name_is_left(
    monkeypatch: pytest.MonkeyPatch, registry: FakeWinreg | None
) -> None:
    monkeypatch.setitem(sys.modules, "winreg", registry)
    monkeypatch.setattr(platform, "processor", lambda: "Intel64 Family 6 Model 142 Stepping 10, GenuineIntel")
    assert other_processor("Windows").name == "Intel64 Family 6 Model 142 Stepping 10, GenuineIntel"


def test_another_system_has_what_the_library_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "amd64")
    assert other_processor("FreeBSD") == Processor("amd64")
