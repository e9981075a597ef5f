"""Read the power of a Raspberry Pi 5's processor and memory from its power management chip, through its firmware."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from eco2ai_callbacks.meters.tally import Source

NAME = "Raspberry Pi PMIC"
MAILBOX = "dev/vcio"
# What is asked: the tag that carries commands of text, the longest text, the state of an answered message, and the
# number of the call (_IOWR(100, 0, char *), whose size is that of a pointer).
_COMMAND, _TAG, _LONGEST, _DONE = b"pmic_read_adc", 0x00030080, 1024, 0x80000000
_REQUEST = 0xC0006400 | struct.calcsize("P") << 16
# The supplies by what hangs on them: the processor's cores with the graphics of the same chip; the memory. (Raspberry
# Pi documentation, vcgencmd pmic_read_adc)
CPU_RAILS, RAM_RAILS = frozenset({"VDD_CORE"}), frozenset({"DDR_VDD2", "DDR_VDDQ"})
# The model's name in the device tree begins like this; the chip of earlier ones cannot be asked.
_MODEL = "Raspberry Pi 5"
# The board has a supply of 27 W.
_MOST_W = 27.0
# The converter has 12 bits over a range much wider than the currents; no check against a meter is published. This
# project's figure.
_BAND = (0.8, 1.2)
HINT = 'sudo usermod --append --groups video "$USER"    # may open /dev/vcio; counts from the next login on'
_LINE = re.compile(r"\s*(\w+)_([AV])\s+(?:current|volt)\(\d+\)=(\d+(?:\.\d+)?)[AV]\s*")

# Returns what the firmware prints. Raises OSError.
Ask = Callable[[], str]


def exists(root: Path) -> bool:
    """Return whether this is a Raspberry Pi 5.

    Args:
        root: The root of the file system.
    """
    try:
        model = (root / "proc/device-tree/model").read_bytes()
    except OSError:
        return False
    return model.decode("ascii", errors="replace").startswith(_MODEL)


def source(rails: Collection[str], ask: Ask) -> Source:
    """Return the power of some supplies.

    Args:
        rails: Their names.
        ask: Asks the firmware.
    """
    # The memory's currents are below a step of the converter where it rests: boards print 0 A for both of its supplies.
    rests = CPU_RAILS.isdisjoint(rails)
    return Source("pmic-power", partial(_watts, rails, ask), False, _BAND, _MOST_W, lambda: _MOST_W, rests=rests)


def rails_w(printed: str) -> dict[str, float]:
    """Return the power of each supply whose current and voltage are printed.

    Example:
        >>> rails_w(" VDD_CORE_A current(7)=2.50000000A\\n VDD_CORE_V volt(15)=0.80000000V")
        {'VDD_CORE': 2.0}
    """
    values: dict[tuple[str, str], float] = {}
    for line in printed.splitlines():
        if (match := _LINE.fullmatch(line)) is not None:
            values[match[1], match[2]] = float(match[3])
    return {
        rail: amps * values[rail, "V"] for (rail, kind), amps in values.items() if kind == "A" and (rail, "V") in values
    }


def _watts(rails: Collection[str], ask: Ask) -> float:
    found = rails_w(ask())
    missing = sorted(rail for rail in rails if rail not in found)
    if missing:
        raise ValueError(f"the firmware shows no power of {' and '.join(missing)}")
    return sum(found[rail] for rail in rails)


def asker(device: Path) -> Ask:
    """Return what asks the firmware for the chip's readings, as ``vcgencmd pmic_read_adc`` does: without a process.

    Args:
        device: The firmware's mailbox, ``/dev/vcio``.
    """

    def ask() -> str:
        from fcntl import ioctl  # POSIX

        # Size of the whole, request, tag, size of its value, length of the request, error, value, end. (raspberrypi/
        # utils: vcgencmd; the firmware's mailbox property interface)
        value = _COMMAND.ljust(_LONGEST, b"\0")
        head = struct.pack("=6I", 0, 0, _TAG, _LONGEST, 0, 0)
        message = bytearray(head + value + struct.pack("=I", 0))
        struct.pack_into("=I", message, 0, len(message))
        with device.open("rb") as mailbox:
            ioctl(mailbox, _REQUEST, message, True)
        return read_answer(bytes(message))

    return ask


def read_answer(message: bytes) -> str:
    """Return what the firmware has written into a message; raises ``OSError`` where it has refused it.

    Args:
        message: The message, as the mailbox has returned it.
    """
    _, state, *_, error = struct.unpack_from("=6I", message)
    if state != _DONE or error:
        raise OSError(None, f"the firmware refuses {_COMMAND.decode()} (state {state:#x}, error {error})")
    return message[24 : 24 + _LONGEST].partition(b"\0")[0].decode("ascii", errors="replace")
