"""The processors' counters by Windows's Energy Meter Interface, with joules worked by hand."""

from __future__ import annotations

import ctypes
import struct
import sys
import time

import pytest
from emi_devices import FakeEmi, FakeWindows, described
from lost_counter import check_reset_and_given_up

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.cpu import emi
from eco2ai_callbacks.meters.cpu.rapl import RaplCpu, RaplDram, of_zones
from eco2ai_callbacks.testing import BARE_METAL, Clock

INTEL = {"RAPL_Package0_PKG": 10.0, "RAPL_Package0_PP0": 8.0, "RAPL_Package0_PP1": 1.0, "RAPL_Package0_DRAM": 3.0}


def opened(devices: emi.EmiDevices, clock: Clock) -> tuple[RaplCpu, RaplDram | None]:
    return of_zones(emi.locate(devices), BARE_METAL, clock, name="EMI", method="emi")


def labels(devices: emi.EmiDevices) -> list[str]:
    return [zone.label for zone in emi.locate(devices)]


def test_the_package_and_its_memory_count_and_parts_of_the_package_do_not_count_again() -> None:
    """The package from 10 J to 110 J, its memory from 3 J to 8 J; the cores' 90 J are in the package's."""
    clock, devices = Clock(), FakeEmi(INTEL)
    cpu, dram = opened(devices, clock)
    assert dram is not None
    clock.advance(2.0)
    for channel, joules in (("RAPL_Package0_PKG", 110.0), ("RAPL_Package0_PP0", 98.0), ("RAPL_Package0_DRAM", 8.0)):
        devices.set(channel, joules)
    assert cpu.interval(2.0, 2.0) == (pytest.approx(100.0, abs=1e-4), 0.0)
    assert dram.read() == {"ram": pytest.approx(5.0, abs=1e-4)}
    assert (cpu.method.name, dram.methods["ram"].name) == ("emi", "emi")


def test_two_packages_add_up_whichever_devices_show_them() -> None:
    """Package 0 from 1 J to 41 J, package 1 from 2 J to 32 J: 70 J."""
    clock, devices = Clock(), FakeEmi({"RAPL_Package1_PKG": 2.0}, {"RAPL_Package0_PKG": 1.0})
    cpu, _ = opened(devices, clock)
    clock.advance(1.0)
    devices.set("RAPL_Package0_PKG", 41.0)
    devices.set("RAPL_Package1_PKG", 32.0)
    assert cpu.interval(1.0, 1.0)[0] == pytest.approx(70.0, abs=1e-4)


def test_a_device_for_each_core_adds_nothing() -> None:
    cores = [{f"RAPL_Package0_Core{number}_CORE": 1.0} for number in range(16)]
    assert labels(FakeEmi({"RAPL_Package0_PKG": 1.0, "RAPL_Package0_Core0_CORE": 1.0}, *cores)) == ["package-0"]


@pytest.mark.parametrize("ending", ["Energy", "Power"])
def test_the_socket_of_amd_s_driver_counts_and_its_rails_do_not(ending: str) -> None:
    names = ("VDDCR_VDD", "VDDCR_SOC", "Current Socket", "Apu")
    clock, devices = Clock(), FakeEmi({f"{name} {ending}": 5.0 for name in names})
    cpu, dram = opened(devices, clock)
    clock.advance(1.0)
    devices.set(f"Current Socket {ending}", 30.0)
    assert cpu.interval(1.0, 1.0)[0] == pytest.approx(25.0, abs=1e-4)
    assert dram is None


def test_a_processor_that_two_drivers_show_counts_once() -> None:
    assert labels(FakeEmi({"Current Socket Energy": 1.0}, INTEL)) == ["package-0", "package-0 dram"]


def test_a_device_of_the_first_version_has_one_channel() -> None:
    assert labels(FakeEmi({"RAPL_Package0_PKG": 1.0}, version=1)) == ["package-0"]


def test_memory_that_stands_at_0_is_left_out() -> None:
    cpu, dram = opened(FakeEmi({**INTEL, "RAPL_Package0_DRAM": 0.0}), Clock())
    assert dram is None
    assert "package-0 dram" in cpu.left_out


def test_each_read_asks_each_counter_once() -> None:
    clock, devices = Clock(), FakeEmi(INTEL)
    cpu, dram = opened(devices, clock)
    devices.asked.clear()
    clock.advance(1.0)
    cpu.interval(1.0, 1.0)
    assert dram is not None
    dram.read()
    assert [request for _, request in devices.asked] == [emi.GET_MEASUREMENT] * 2


@pytest.mark.parametrize(
    ("devices", "why"),
    [
        (FakeEmi(), "absent: Windows shows no energy meter"),
        (FakeEmi({"Battery": 1.0, "WiFi": 1.0}), "absent: no channel is a whole processor: Battery, WiFi"),
        (FakeEmi(INTEL, version=3), "unreadable: version 3 of the interface is not known"),
    ],
    ids=["none", "other channels", "newer"],
)
def test_a_machine_without_such_counters_says_why_and_what_may_help(devices: FakeEmi, why: str) -> None:
    with pytest.raises(MeterUnavailable) as caught:
        emi.locate(devices)
    assert caught.value.reason == why
    assert "update Windows" in (caught.value.hint or "")


def test_a_channel_in_another_unit_is_not_taken_for_energy() -> None:
    devices = FakeEmi(INTEL)
    devices.unit = 4
    with pytest.raises(MeterUnavailable, match=r"no channel is a whole processor: a channel in unit 4$"):
        emi.locate(devices)


@pytest.mark.parametrize(
    ("request_", "answer", "why"),
    [
        (emi.GET_VERSION, OSError(22, "The request is not supported"), "The request is not supported"),
        (emi.GET_VERSION, b"", "the answer is too short"),
        (emi.GET_METADATA_SIZE, struct.pack("<L", 2**31), "version 2 of the interface is not known"),
        (emi.GET_METADATA, described(["RAPL_Package0_PKG"])[:66], "the description of its channels is too short"),
        (emi.GET_METADATA, described(["X", "Y"])[:74], "the description of its channels is too short"),
    ],
    ids=["refused", "empty", "endless", "no head", "no second channel"],
)
def test_a_device_that_answers_otherwise_is_refused(request_: int, answer: bytes | OSError, why: str) -> None:
    devices = FakeEmi(INTEL)
    devices.answers[request_] = answer
    with pytest.raises(MeterUnavailable, match=why):
        emi.locate(devices)


def test_meters_that_cannot_be_listed_or_read_are_named() -> None:
    devices = FakeEmi(INTEL)
    devices.refused = PermissionError(13, "Access is denied")
    with pytest.raises(MeterUnavailable, match="cannot be listed: Access is denied"):
        emi.locate(devices)
    devices.refused = None
    zones = emi.locate(devices)
    for answer, why in ((b"1234", "the answer is too short"), (OSError(5, "gone"), "gone")):
        devices.answers[emi.GET_MEASUREMENT] = answer
        with pytest.raises(MeterUnavailable, match=f"unreadable: package-0: {why}"):
            of_zones(zones, BARE_METAL, Clock(), name="EMI", method="emi")


def test_a_device_that_vanishes_is_given_up_and_a_reset_is_named() -> None:
    clock, devices = Clock(), FakeEmi({"RAPL_Package0_PKG": 900.0})
    cpu, _ = opened(devices, clock)
    check_reset_and_given_up(
        cpu, clock, "EMI", lambda: devices.set("RAPL_Package0_PKG", 5.0), lambda: devices.devices.clear()
    )


def test_a_system_without_a_clock_of_the_time_in_suspend_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    cpu, _ = of_zones(emi.locate(FakeEmi(INTEL)), BARE_METAL, name="EMI", method="emi")
    assert cpu.interval(0.0, 0.0) == (0.0, 0.0)


def windows(fake: FakeWindows) -> emi.WindowsDevices:
    return emi.WindowsDevices(fake, fake, lambda: OSError(5, "Access is denied"))


def test_windows_is_called_as_its_headers_say() -> None:
    fake = FakeWindows(FakeEmi(INTEL, {"Battery": 2.0}))
    clock = Clock()
    cpu, dram = opened(windows(fake), clock)
    clock.advance(1.0)
    fake.devices.set("RAPL_Package0_PKG", 60.0)
    assert cpu.interval(1.0, 1.0)[0] == pytest.approx(50.0, abs=1e-4)
    assert dram is not None
    # {45BD8344-7ED6-49cf-A440-C276C933B053}: three numbers with the lowest byte first, and eight bytes.
    guid = struct.pack("<LHH8B", 0x45BD8344, 0x7ED6, 0x49CF, 0xA4, 0x40, 0xC2, 0x76, 0xC9, 0x33, 0xB0, 0x53)
    assert set(fake.classes) == {guid}
    assert fake.open == []  # each is closed again


def test_a_device_that_comes_while_they_are_listed_is_listed() -> None:
    fake = FakeWindows(FakeEmi(INTEL))
    fake.codes = [0x1A]
    assert list(windows(fake).paths()) == ["\\\\?\\emi#0"]
    fake.codes = [0x1A, 0x1A, 0x1A]
    with pytest.raises(OSError, match="code 26 of the configuration manager"):
        windows(fake).paths()
    fake.codes = [0x13]
    with pytest.raises(OSError, match="code 19"):
        windows(fake).paths()
    fake.refuse_list = 0x1F
    with pytest.raises(OSError, match="code 31"):
        windows(fake).paths()


def test_a_device_that_cannot_be_opened_or_does_not_answer_is_closed_and_raises() -> None:
    fake = FakeWindows(FakeEmi(INTEL))
    devices = windows(fake)
    (path,) = devices.paths()
    for fault in ("refuse", "fail"):
        setattr(fake, fault, True)
        with pytest.raises(OSError, match="Access is denied"):
            devices.ask(path, emi.GET_VERSION, 2)
        assert fake.open == []
        setattr(fake, fault, False)
    assert devices.ask(path, emi.GET_VERSION, 2) == b"\x02\x00"


def test_windows_itself_is_asked_by_default_with_its_own_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, loaded = FakeWindows(FakeEmi(INTEL)), []

    def load(name: str, *, use_last_error: bool) -> FakeWindows:
        loaded.append((name, use_last_error))
        return fake

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "WinDLL", load, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: 5, raising=False)
    monkeypatch.setattr(ctypes, "WinError", lambda code: PermissionError(13, f"error {code}"), raising=False)
    devices = emi.WindowsDevices()
    assert loaded == [("cfgmgr32", True), ("kernel32", True)]
    assert labels(devices) == ["package-0", "package-0 dram"]
    fake.refuse = True
    with pytest.raises(MeterUnavailable, match="unreadable: error 5"):
        emi.locate(devices)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has its own libraries")
def test_elsewhere_there_are_no_libraries_of_windows() -> None:
    with pytest.raises(OSError, match="cfgmgr32 is a library of Windows"):
        emi.WindowsDevices()
    fake = FakeWindows(FakeEmi(INTEL))
    fake.refuse = True
    with pytest.raises(OSError, match="not Windows"):
        emi.WindowsDevices(fake, fake).ask("device", emi.GET_VERSION, 2)
