"""Name ARM processors by the numbers of their cores: Linux gives no other name for them."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Designer and part number of a core (bits 31 to 24 and 15 to 4 of the register MIDR_EL1), with its name. Facts from
# Linux's arch/arm64/include/asm/cputype.h, Arm's reference manuals of the cores, and util-linux's lscpu-arm.c.
_CORES: Mapping[int, tuple[str, Mapping[int, str]]] = {
    0x41: (
        "ARM",
        {
            0xC07: "Cortex-A7",
            0xC09: "Cortex-A9",
            0xC0F: "Cortex-A15",
            0xD03: "Cortex-A53",
            0xD04: "Cortex-A35",
            0xD05: "Cortex-A55",
            0xD07: "Cortex-A57",
            0xD08: "Cortex-A72",
            0xD09: "Cortex-A73",
            0xD0A: "Cortex-A75",
            0xD0B: "Cortex-A76",
            0xD0C: "Neoverse-N1",
            0xD0D: "Cortex-A77",
            0xD0E: "Cortex-A76AE",
            0xD40: "Neoverse-V1",
            0xD41: "Cortex-A78",
            0xD42: "Cortex-A78AE",
            0xD44: "Cortex-X1",
            0xD46: "Cortex-A510",
            0xD47: "Cortex-A710",
            0xD48: "Cortex-X2",
            0xD49: "Neoverse-N2",
            0xD4A: "Neoverse-E1",
            0xD4B: "Cortex-A78C",
            0xD4C: "Cortex-X1C",
            0xD4D: "Cortex-A715",
            0xD4E: "Cortex-X3",
            0xD4F: "Neoverse-V2",
            0xD80: "Cortex-A520",
            0xD81: "Cortex-A720",
            0xD82: "Cortex-X4",
            0xD83: "Neoverse-V3AE",
            0xD84: "Neoverse-V3",
            0xD85: "Cortex-X925",
            0xD87: "Cortex-A725",
            0xD8E: "Neoverse-N3",
        },
    ),
    0x42: ("Broadcom", {0x516: "ThunderX2"}),
    0x43: ("Cavium", {0x0A0: "ThunderX", 0x0A1: "ThunderX", 0x0AF: "ThunderX2", 0x0B8: "ThunderX3"}),
    0x46: ("Fujitsu", {0x001: "A64FX", 0x003: "MONAKA"}),
    0x48: ("HiSilicon", {0xD01: "Kunpeng 920", 0xD02: "Kunpeng", 0xD06: "Kunpeng"}),
    0x4E: ("NVIDIA", {0x000: "Denver", 0x003: "Denver 2", 0x004: "Carmel", 0x010: "Olympus"}),
    0x50: ("APM", {0x000: "X-Gene"}),
    0x51: ("Qualcomm", {0x001: "Oryon", 0x002: "Oryon", 0xC00: "Falkor", 0xC01: "Saphira"}),
    0x61: (
        "Apple",
        {
            # The efficiency and the performance cores of one chip.
            0x022: "M1",
            0x023: "M1",
            0x024: "M1 Pro",
            0x025: "M1 Pro",
            0x028: "M1 Max",
            0x029: "M1 Max",
            0x032: "M2",
            0x033: "M2",
            0x034: "M2 Pro",
            0x035: "M2 Pro",
            0x038: "M2 Max",
            0x039: "M2 Max",
        },
    ),
    0x6D: ("Microsoft", {0xD49: "Azure Cobalt 100"}),
    0x70: ("Phytium", {0x660: "FTC660", 0x661: "FTC661", 0x662: "FTC662", 0x663: "FTC663", 0x862: "FTC862"}),
    0xC0: ("Ampere", {0xAC3: "AmpereOne", 0xAC4: "AmpereOne", 0xAC5: "AmpereOne"}),
}
# What the firmware calls processors whose name says more than their cores' numbers. Others are placeholders.
_FIRMWARE = re.compile(r"graviton|altra|ampere|\bgrace\b|cobalt|axion|kunpeng|thunderx|snapdragon", re.IGNORECASE)
# Both dies of NVIDIA's Grace CPU Superchip have 72 cores (NVIDIA's data sheet).
_SUPERCHIP_CORES = 144
# Cores of a Max; an Ultra is two of them.
_MAX_CORES = {"Apple M1 Max": 10, "Apple M2 Max": 12}


def core_name(info: Mapping[str, str], threads: int) -> str:
    """Return the name of the processor whose cores ``/proc/cpuinfo`` numbers; empty where the designer is unknown.

    Args:
        info: Fields of the first core.
        threads: Hardware threads of the machine.

    Example:
        >>> core_name({"CPU implementer": "0x41", "CPU part": "0xd0c"}, 64)
        'ARM Neoverse-N1'
        >>> core_name({"CPU implementer": "0x61", "CPU part": "0x029"}, 20)
        'Apple M1 Ultra'
    """
    designer, parts = _CORES.get(_number(info.get("CPU implementer")), ("", {}))
    part = parts.get(_number(info.get("CPU part")), "")
    name = part if part.startswith(designer) else f"{designer} {part}".strip()
    if threads > _MAX_CORES.get(name, threads):
        name = name.replace("Max", "Ultra")
    return name


def _number(text: str | None) -> int:
    return int(text, 16) if text and re.fullmatch(r"0x[0-9a-fA-F]+", text) else -1


def firmware_name(version: str, threads: int) -> str:
    """Return the processor's name by the firmware's tables; empty where they hold a placeholder.

    Args:
        version: The processor's version and part number by the tables.
        threads: Hardware threads of the machine.

    Example:
        >>> firmware_name("Ampere(R) Altra(R) Processor Q80-30", 80)
        'Ampere(R) Altra(R) Processor Q80-30'
        >>> firmware_name("Not Specified", 80)
        ''
    """
    known = _FIRMWARE.search(version)
    if not known:
        return ""
    if known[0].lower() == "grace":
        # The firmware names the die and its stepping.
        return "NVIDIA Grace CPU Superchip" if threads >= _SUPERCHIP_CORES else "NVIDIA Grace CPU"
    return " ".join(version.split())
