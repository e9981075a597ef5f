"""Read the energy accumulator of an AMD GPU from the table that its firmware keeps (``gpu_metrics``)."""

from __future__ import annotations

import struct
from pathlib import Path

# Joules of one step of the accumulator (Linux: kgd_pp_interface.h, "Energy (15.259uJ (2^-16) units)").
STEP_J = 2.0**-16
# Where the accumulator is, by the table's revision (Linux: kgd_pp_interface.h, gpu_metrics_v1_1 to gpu_metrics_v1_8).
# The tables of processors with graphics (2.x, 3.x) have none.
_OFFSETS = {1: 24, 2: 24, 3: 24, 4: 24, 5: 88, 6: 16, 7: 24, 8: 24}
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
