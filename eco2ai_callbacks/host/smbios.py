"""Read the processor's name from the firmware's tables (SMBIOS), which Linux shows to root."""

from __future__ import annotations

# Type of the structure Processor Information, and the offsets of its fields Processor Version and Part Number: each is
# the number of one of the texts that follow the structure (SMBIOS specification DSP0134, 7.5).
_PROCESSOR, _VERSION, _PART_NUMBER = 4, 0x10, 0x22
# Type of the structure that ends the table.
_END = 127
_HEADER = 4


def processor_version(table: bytes) -> str:
    """Return version and part number of the first processor; empty where the table holds none.

    Args:
        table: The structures, as in ``/sys/firmware/dmi/tables/DMI``.
    """
    start = 0
    while start + _HEADER <= len(table):
        kind, length = table[start], table[start + 1]
        # Texts follow the formatted part, each ended by a zero byte, and a second zero byte ends the structure.
        end = table.find(b"\0\0", start + length)
        if kind == _END or length < _HEADER or end < 0:
            break
        if kind == _PROCESSOR:
            texts = table[start + length : end].split(b"\0")
            numbers = [table[start + at] for at in (_VERSION, _PART_NUMBER) if at < length]
            found = [texts[n - 1].decode(errors="replace").strip() for n in numbers if 0 < n <= len(texts)]
            # Some firmware writes one text into both.
            return " ".join(dict.fromkeys(filter(None, found)))
        start = end + 2
    return ""
