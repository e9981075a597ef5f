"""A Raspberry Pi's power by its firmware, with watts worked by hand."""

from __future__ import annotations

import errno
import fcntl
import struct
from pathlib import Path

import pytest

from eco2ai_callbacks.meters.cpu.pmic import CPU_RAILS, RAM_RAILS, asker, exists, rails_w, read_answer, source
from eco2ai_callbacks.meters.cpu.sensor_cpu import opened
from eco2ai_callbacks.testing import Clock

PRINTED = """ 3V7_WL_SW_A current(0)=0.08784600A
  DDR_VDD2_A current(4)=0.10000000A
  DDR_VDDQ_A current(5)=0.05000000A
  VDD_CORE_A current(7)=2.50000000A
  3V7_WL_SW_V volt(8)=3.70000000V
  DDR_VDD2_V volt(12)=1.10000000V
  DDR_VDDQ_V volt(13)=0.60000000V
  VDD_CORE_V volt(15)=0.80000000V
     EXT5V_V volt(24)=5.15000000V
"""


def test_a_supply_s_power_is_its_current_times_its_voltage() -> None:
    """2.5 A x 0.8 V = 2 W; 0.1 A x 1.1 V + 0.05 A x 0.6 V = 0.14 W."""
    assert source(CPU_RAILS, lambda: PRINTED).value() == 2.0
    assert source(RAM_RAILS, lambda: PRINTED).value() == pytest.approx(0.14)
    assert "EXT5V" not in rails_w(PRINTED)


def test_memory_that_rests_shows_nothing_and_is_read_on() -> None:
    """A board without load prints 0 A for the memory; cores that show none are not known."""
    clock, printed = Clock(), PRINTED.replace("=0.10000000A", "=0.00000000A").replace("=0.05000000A", "=0.00000000A")
    tally = opened("Raspberry Pi PMIC", "memory", source(RAM_RAILS, lambda: printed), clock)
    for _ in range(100):
        clock.advance(1.0)
        assert tally.update(1.0)
    assert (tally.joules, tally.failures) == (0.0, {})
    printed = PRINTED
    clock.advance(1.0)
    tally.update(1.0)
    assert tally.joules == pytest.approx(0.07)
    with pytest.raises(ValueError, match="shows 0 W"):
        source(CPU_RAILS, lambda: PRINTED.replace("=2.50000000A", "=0.00000000A")).value()


@pytest.mark.parametrize("printed", ["", "Command not registered", PRINTED.replace("VDD_CORE_V", "X")], ids=range(3))
def test_what_names_no_core_is_refused(printed: str) -> None:
    with pytest.raises(ValueError, match="the firmware shows no power of VDD_CORE"):
        source(CPU_RAILS, lambda: printed).value()


def test_the_machine_is_known_by_its_model(tmp_path: Path) -> None:
    assert not exists(tmp_path)
    model = tmp_path / "proc/device-tree/model"
    model.parent.mkdir(parents=True)
    for name, there in (("Raspberry Pi 5 Model B Rev 1.0\0", True), ("Raspberry Pi 4 Model B\0", False)):
        model.write_text(name)
        assert exists(tmp_path) is there


def test_the_firmware_is_asked_through_its_mailbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, bytes]] = []

    def ioctl(_: object, request: int, message: bytearray, mutate: bool) -> int:
        assert mutate
        asked.append((request, bytes(message)))
        struct.pack_into("=I", message, 4, 0x80000000)
        message[24 : 24 + len(PRINTED) + 1] = PRINTED.encode() + b"\0"
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    (tmp_path / "vcio").touch()
    assert source(CPU_RAILS, asker(tmp_path / "vcio")).value() == 2.0
    ((request, message),) = asked
    assert request == (0xC0086400 if struct.calcsize("P") == 8 else 0xC0046400)
    assert struct.unpack_from("=6I", message) == (1052, 0, 0x00030080, 1024, 0, 0)
    assert message[24:38] == b"pmic_read_adc\0"
    assert message[-4:] == bytes(4)


def test_a_firmware_that_refuses_raises_and_so_does_a_mailbox_that_is_none(tmp_path: Path) -> None:
    for state, error in ((0, 0), (0x80000001, 0), (0x80000000, 1)):
        with pytest.raises(OSError, match="the firmware refuses pmic_read_adc"):
            read_answer(struct.pack("=6I", 1052, state, 0, 0, 0, error) + bytes(1028))
    with pytest.raises(FileNotFoundError):
        asker(tmp_path / "none")()
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is the kernel's answer
        asker(tmp_path / "file")()
    assert caught.value.errno == errno.ENOTTY
