"""A firmware's table of structures, as Linux shows it below ``/sys/firmware/dmi/tables``."""

from __future__ import annotations

END = bytes([127, 4, 2, 0, 0, 0])


def structure(kind: int, formatted: bytes, *texts: str) -> bytes:
    """Return one structure: its header, its formatted part and its texts."""
    strings = b"".join(text.encode() + b"\0" for text in texts) or b"\0"
    return bytes([kind, 4 + len(formatted), 0, 0]) + formatted + strings + b"\0"


def processor(version: str, part_number: str) -> bytes:
    """Return a structure Processor Information of SMBIOS 3.0, with its socket, maker, version and part number."""
    fields = bytearray(0x30 - 4)
    fields[0x04 - 4], fields[0x07 - 4], fields[0x10 - 4], fields[0x22 - 4] = 1, 2, 3, 4
    return structure(4, bytes(fields), "CPU 0", "Maker", version, part_number)


def table(version: str, part_number: str = "Not Specified") -> bytes:
    """Return a table with a BIOS, a system and a processor."""
    return b"".join(
        [structure(0, bytes(20), "Vendor", "1.0"), structure(1, bytes(23)), processor(version, part_number), END]
    )
