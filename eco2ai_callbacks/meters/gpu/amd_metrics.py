"""Read the energy accumulator of an AMD GPU from the table that its firmware keeps (``gpu_metrics``)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

# Joules of one step of the accumulator (Linux: kgd_pp_interface.h, "Energy (15.259uJ (2^-16) units)").
STEP_J = 2.0**-16
# Where the accumulator is, by the table's revision (Linux: kgd_pp_interface.h, gpu_metrics_v1_1 to gpu_metrics_v1_8).
# The tables of processors with graphics (2.x, 3.x) have none.
_OFFSETS = {1: 24, 2: 24, 3: 24, 4: 24, 5: 88, 6: 16, 7: 24, 8: 24}
# In revision 1.9, of MI300 and later, the table is a list: the number of its entries, and of each entry 64 bits that
# say what it is and its values, without gaps. Of these bits the number of values has 10, what they are 10 and their
# type 4. (Linux: kgd_pp_interface.h, AMDGPU_METRICS_ENC_ATTR and enum amdgpu_metrics_attr_id; smu_cmn.h)
_LIST = 9
_HEAD, _KIND = struct.Struct("<4xi"), struct.Struct("<Q")
_ACCUMULATOR, _U64 = 7, 6
_TYPE_SIZES = (1, 1, 2, 2, 4, 4, 8, 8)
# From this revision on the unit is part of the table's definition. Before, other GPUs than these counted in units of
# their own: MI100 and MI200 (ROCm SMI: rsmi_dev_energy_count_get).
_STATED = 4
_KNOWN_UNIT = frozenset({90008, 90010})
_UNKNOWN = 2**64 - 1


def energy_j(path: Path, target: int) -> float:
    """Return the joules that the accumulator shows; raises ``OSError`` or ``ValueError`` where there is none.

    Args:
        path: The file ``gpu_metrics`` of the device.
        target: The GPU's instruction set, as ``gfx_target_version`` spells it.
    """
    table = path.read_bytes()
    if len(table) < 4:
        raise ValueError("no table")
    size, major, minor = struct.unpack_from("<HBB", table)
    if major == 1 and minor == _LIST:
        offset = next(_accumulators(table), None)
    else:
        offset = _OFFSETS.get(minor) if major == 1 else None
    if offset is None or (minor < _STATED and target not in _KNOWN_UNIT):
        raise ValueError(f"no accumulator of a known unit in revision {major}.{minor}")
    if size != len(table) or len(table) < offset + 8:
        raise ValueError("cut off")
    (steps,) = struct.unpack_from("<Q", table, offset)
    # The second die of an MI250 shows 0, and a driver that does not know it all ones.
    if steps in (0, _UNKNOWN):
        raise ValueError("not known to the driver")
    return float(steps) * STEP_J


def _accumulators(table: bytes) -> Iterator[int]:
    """Yield where the accumulators of a list are; raises ``ValueError`` where the list is not whole."""
    try:
        (count,) = _HEAD.unpack_from(table)
        at = _HEAD.size
        for _ in range(count):
            (kind,) = _KIND.unpack_from(table, at)
            at += _KIND.size
            number, what, type_ = kind & 0x3FF, kind >> 10 & 0x3FF, kind >> 20 & 0xF
            if type_ >= len(_TYPE_SIZES):
                raise ValueError("an entry of a type that is not known")
            if (what, type_, number) == (_ACCUMULATOR, _U64, 1):
                yield at
            at += number * _TYPE_SIZES[type_]
    except struct.error:
        raise ValueError("cut off") from None
