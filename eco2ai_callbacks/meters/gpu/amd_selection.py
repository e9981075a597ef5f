"""Find the AMD GPUs that ROCm shows to this process."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping, Sequence

from eco2ai_callbacks.meters.gpu.pci_selection import GpuPart

ROCR, HIP, CUDA = "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"


def visible(devices: Sequence[GpuPart], environ: Mapping[str, str]) -> tuple[tuple[GpuPart, ...], str]:
    """Return the devices that HIP shows to a process with this environment, and the variables that limit them.

    The runtime's variable comes first; HIP's numbers count what that leaves. HIP's own variable has precedence over
    CUDA's, and an empty one counts as not set. A list ends at its first invalid or repeated entry. (ROCm: GPU isolation
    techniques; ROCR-Runtime: amd_filter_device.cpp)

    Args:
        devices: The runtime's devices, in its order.
        environ: ``ROCR_VISIBLE_DEVICES``, ``HIP_VISIBLE_DEVICES`` and ``CUDA_VISIBLE_DEVICES`` are read.
    """
    left = tuple(devices)
    if (value := environ.get(ROCR)) is not None:
        left = _listed(left, value, by_uuid=True)
    if value := environ.get(HIP) or environ.get(CUDA):
        left = _listed(left, value)
    return left, " and ".join(name for name in (ROCR, HIP, CUDA) if name in environ)


def trained_on(devices: Sequence[GpuPart], framework: Sequence[str] | None) -> tuple[GpuPart, ...]:
    """Return the devices that a framework trains on.

    Args:
        devices: The runtime's devices.
        framework: Their UUIDs, as the framework reports them.
    """
    wanted = {unique_id(uuid) for uuid in framework or ()}
    return tuple(part for part in devices if part.gpu.uuid.removeprefix("GPU-") in wanted)


def unique_id(uuid: str) -> str:
    """Return the unique id of an AMD GPU in the UUID that a framework reports.

    HIP's 16 bytes are the characters of the id; PyTorch prints them as a UUID of other makers.

    Example:
        >>> unique_id("61623031-3233-3435-3637-383961626364")
        'ab0123456789abcd'
    """
    digits = re.sub(r"^GPU-", "", uuid).replace("-", "").lower()
    try:
        found = binascii.unhexlify(digits).decode("ascii").lower()
    except (ValueError, UnicodeDecodeError):
        return digits
    return found if re.fullmatch(r"[0-9a-f]{16}", found) else digits


def _listed(devices: Sequence[GpuPart], value: str, *, by_uuid: bool = False) -> tuple[GpuPart, ...]:
    found: list[GpuPart] = []
    for word in (word.strip() for word in value.split(",")):
        if word.isdigit():
            matching = list(devices[int(word) : int(word) + 1])
        else:
            spelt = word.lower()
            known = by_uuid and spelt.startswith("gpu-") and len(spelt) > 4
            matching = [part for part in devices if known and part.gpu.uuid.lower().startswith(spelt)]
        if len(matching) != 1 or matching[0] in found:
            break
        found += matching
    return tuple(found)
