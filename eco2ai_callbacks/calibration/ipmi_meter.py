"""Read the power that this machine's BMC shows by IPMI (DCMI), through the program ``ipmitool``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from eco2ai_callbacks.calibration.http_meter import TIMEOUT_S, MeterError

PROGRAM = "ipmitool"
# DCMI 1.5, "Get Power Reading", as ipmitool prints it.
_COMMAND = ("dcmi", "power", "reading")
_WATTS = re.compile(r"^\s*Instantaneous power reading\s*:\s*(\d{1,7})\s*Watts\s*$", re.MULTILINE)
_OFF = re.compile(r"^\s*Power reading state is\s*:\s*deactivated\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class IpmiMeter:
    """The BMC of this machine.

    Args:
        timeout_s: Seconds to wait for an answer.
        program: The program that asks it.
    """

    timeout_s: float = TIMEOUT_S
    program: str = PROGRAM

    @property
    def shown(self) -> str:
        """What is asked, as people would type it."""
        return " ".join((self.program, *_COMMAND))

    def read(self) -> float:
        """Return the power in watts now.

        Raises:
            MeterError: The program is not there, or the BMC gave no power in time.
        """
        found = shutil.which(self.program)
        if found is None:
            raise MeterError(
                f"the program {self.program!r} is not installed or not on the PATH; install it, or give another meter, "
                "such as --meter redfish"
            )
        return watts_of(self.shown, *self._answer((found, *_COMMAND)))

    def _answer(self, command: Sequence[str]) -> tuple[str, str]:
        """Return what the program prints and what it complains of."""
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.timeout_s,
                env={**os.environ, "LC_ALL": "C"},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise MeterError(f"'{self.shown}' did not answer within {self.timeout_s:g} s") from None
        except OSError as error:
            raise MeterError(f"'{self.shown}' cannot be started: {error.strerror}") from None
        return done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def watts_of(command: str, printed: str, complaint: str = "") -> float:
    """Return the watts in what ``ipmitool`` printed.

    Args:
        command: The command, for the error.
        printed: Its output.
        complaint: What it wrote to its standard error.

    Raises:
        MeterError: There are none.

    Example:
        >>> watts_of("ipmitool", "    Instantaneous power reading:                   216 Watts")
        216.0
    """
    found = _WATTS.search(printed)
    # A BMC that does not measure prints 0 and says that it is deactivated.
    if found is None or _OFF.search(printed):
        why = next(filter(None, map(str.strip, complaint.splitlines())), "")[:200]
        if found is not None:
            why = "the BMC's power reading is deactivated"
        elif "ermission denied" in complaint or "/dev/ipmi" in complaint:
            why = f"{why}; it needs the driver ipmi_si, and root or the right to read /dev/ipmi0"
        raise MeterError(f"'{command}' shows no power: {why or 'its output has no line with it'}")
    return float(found[1])
