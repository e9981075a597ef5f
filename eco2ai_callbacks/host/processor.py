"""Read what the processor is called: by Linux, macOS or Windows."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Processor:
    """What the system calls its processor.

    Args:
        name: The model's name; empty where the system has none.
        vendor: ``GenuineIntel``, ``AuthenticAMD``, ``HygonGenuine``, ``ARM``, ``Apple`` or empty.
        family: x86 family number, where known.
        number: x86 model number, where known.
    """

    name: str = ""
    vendor: str = ""
    family: int | None = None
    number: int | None = None


def linux_processor(info: Mapping[str, str], threads: int, sys: Path) -> Processor:
    """Return the processor of a Linux machine.

    Args:
        info: Fields of the first processor in ``/proc/cpuinfo``.
        threads: Hardware threads of the machine.
        sys: Mount point of sysfs.
    """
    # LoongArch's kernel writes both words with capitals.
    name = (info.get("model name") or info.get("Model Name") or "").strip()
    if "CPU implementer" not in info:
        # POWER's kernel gives the chip, and its vector unit after a comma.
        name = name or info.get("cpu", "").partition(",")[0].strip()
        return Processor(name, info.get("vendor_id", ""), _decimal(info.get("cpu family")), _decimal(info.get("model")))
    from eco2ai_callbacks.host.arm import core_name, firmware_name  # for the processors that need it

    core = core_name(info, threads)
    # A kernel with 32-bit programs calls every core "ARMv7 Processor rev 3 (v7l)".
    found = firmware_name(_firmware_version(sys), threads) or core or name
    return Processor(found, "Apple" if core.startswith("Apple") else "ARM")


def _firmware_version(sys: Path) -> str:
    from eco2ai_callbacks.host.smbios import processor_version

    try:
        return processor_version((sys / "firmware/dmi/tables/DMI").read_bytes())
    except OSError:  # a board without SMBIOS, or another user than root
        return ""


def other_processor(system: str) -> Processor:
    """Return the processor of a machine without procfs.

    Args:
        system: ``Darwin``, ``Windows``, ...
    """
    if system == "Darwin":
        return _darwin()
    return _windows() if system == "Windows" else Processor(_by_python())


def _darwin() -> Processor:
    name = _sysctl("machdep.cpu.brand_string").rstrip(b"\0").decode(errors="replace").strip()
    # An Intel interpreter on Apple's chip may be told "VirtualApple" by the translation.
    import platform  # not needed under Linux

    if platform.machine() == "arm64" or "Apple" in name:
        return Processor(name if name.startswith("Apple ") else "Apple", "Apple")
    vendor = _sysctl("machdep.cpu.vendor").rstrip(b"\0").decode(errors="replace")
    family, number = _sysctl("machdep.cpu.family"), _sysctl("machdep.cpu.model")
    return Processor(
        name or _by_python(),
        vendor,
        int.from_bytes(family, "little") if family else None,
        int.from_bytes(number, "little") if number else None,
    )


def _by_python() -> str:
    import platform  # not needed under Linux

    return platform.processor()


def _sysctl(key: str) -> bytes:
    """Return a kernel variable's bytes by sysctlbyname(3); none where there is no such variable."""
    import ctypes  # not needed under Linux

    try:
        call = ctypes.CDLL(None).sysctlbyname
    except (OSError, AttributeError, TypeError):
        return b""
    size = ctypes.c_size_t(256)
    content = ctypes.create_string_buffer(size.value)
    failed = call(key.encode(), content, ctypes.byref(size), None, ctypes.c_size_t(0))
    return b"" if failed else content.raw[: size.value]


_WINDOWS_KEY = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"


def _windows() -> Processor:
    values = {name: _registry(name) for name in ("ProcessorNameString", "VendorIdentifier", "Identifier")}
    # "Intel64 Family 6 Model 142 Stepping 10"; ARM's processors have letters for a number.
    numbers = re.search(r"(?:Intel64|AMD64|x86) Family (\d+) Model (\d+)", values["Identifier"])
    arm = values["Identifier"].startswith("ARM")
    return Processor(
        values["ProcessorNameString"] or _by_python(),
        "ARM" if arm else values["VendorIdentifier"],
        int(numbers[1]) if numbers else None,
        int(numbers[2]) if numbers else None,
    )


def _registry(name: str) -> str:
    """Return a value of the first processor in Windows' registry; empty where there is none."""
    try:
        winreg = importlib.import_module("winreg")
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _WINDOWS_KEY) as key:
            return str(winreg.QueryValueEx(key, name)[0]).strip()
    except (ImportError, OSError):
        return ""


def _decimal(text: str | None) -> int | None:
    return int(text) if text and text.strip().isdecimal() else None
