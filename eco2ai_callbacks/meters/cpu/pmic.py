"""Read the power of a Raspberry Pi 5's processor and memory from its power management chip, by ``vcgencmd``."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from eco2ai_callbacks.meters.tally import Source

NAME = "Raspberry Pi PMIC"
COMMAND = ("vcgencmd", "pmic_read_adc")
# The firmware answers within milliseconds; a call must not keep a training waiting for longer.
_TIMEOUT_S = 2.0
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
HINT = 'sudo usermod --append --groups video "$USER"    # vcgencmd needs /dev/vcio; counts from the next login on'
_LINE = re.compile(r"\s*(\w+)_([AV])\s+(?:current|volt)\(\d+\)=(\d+(?:\.\d+)?)[AV]\s*")

# Returns what the command prints. Raises OSError.
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


def source(rails: Collection[str], ask: Ask | None = None) -> Source:
    """Return the power of some supplies.

    Args:
        rails: Their names.
        ask: Asks the chip; by the command by default.
    """
    return Source("pmic-power", partial(_watts, rails, ask or _run), False, _BAND, _MOST_W, lambda: _MOST_W)


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
        raise ValueError(f"{COMMAND[0]} prints no power of {' and '.join(missing)}")
    return sum(found[rail] for rail in rails)


def _run() -> str:
    try:
        done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise OSError(None, f"{COMMAND[0]} did not answer within {_TIMEOUT_S:g} s") from None
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())
        denied = "permission" in said.lower() or "vcio" in said.lower()
        raise (PermissionError if denied else OSError)(None, said or f"{COMMAND[0]} ended with {done.returncode}")
    return done.stdout
