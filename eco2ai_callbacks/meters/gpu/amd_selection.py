"""Choose the AMD GPUs to measure: those that ROCm shows to this process, or those that the setting ``gpus`` names."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping, Sequence

from eco2ai_callbacks.errors import MeterUnavailable, SettingsError
from eco2ai_callbacks.meters.gpu.amd_devices import AmdGpu, AmdPart

ROCR, HIP, CUDA = "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"
_ACCEPTED = "'auto', 'visible', 'all', (), or indices or UUIDs"


def visible(devices: Sequence[AmdPart], environ: Mapping[str, str]) -> tuple[AmdPart, ...]:
    """Return the devices that HIP shows to a process with this environment, in its order.

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
    return left


def choose(
    setting: str | Sequence[int | str],
    gpus: Sequence[AmdGpu],
    devices: Sequence[AmdPart],
    *,
    environ: Mapping[str, str],
    framework: Sequence[str] | None = None,
    alone: bool = True,
) -> tuple[tuple[AmdPart, ...], str]:
    """Return the parts to measure, and the rule by which they were chosen.

    Args:
        setting: The setting ``gpus``.
        gpus: The GPUs, in the order of the PCI bus.
        devices: The runtime's devices.
        environ: The environment.
        framework: UUIDs of the devices that the framework trains on, where it reports them.
        alone: Whether the machine has no other maker's GPUs, whose names and numbers the setting would hold.

    Raises:
        MeterUnavailable: Where nothing is selected.
        SettingsError: Where an index or UUID is named that does not exist.
    """
    if not setting:
        raise MeterUnavailable("no GPU is selected", wanted=False)
    if setting == "all":
        return tuple(AmdPart(gpu) for gpu in gpus), "all"
    if not isinstance(setting, str):
        return _named(gpus, setting, alone), "named"
    if setting == "auto" and framework:
        wanted = {unique_id(uuid) for uuid in framework}
        if used := tuple(part for part in devices if part.gpu.uuid.removeprefix("GPU-") in wanted):
            return used, "auto: framework"
    seen = visible(devices, environ)
    if not seen:
        names = [name for name in (ROCR, HIP, CUDA) if name in environ]
        raise MeterUnavailable(f"no GPU is selected: {' and '.join(names)} hides them all", wanted=False)
    return seen, "auto: visible" if setting == "auto" else "visible"


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


def _listed(devices: Sequence[AmdPart], value: str, *, by_uuid: bool = False) -> tuple[AmdPart, ...]:
    found: list[AmdPart] = []
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


def _named(gpus: Sequence[AmdGpu], names: Sequence[int | str], alone: bool) -> tuple[AmdPart, ...]:
    found: dict[AmdGpu, None] = {}
    for name in names:
        numbered = isinstance(name, int)
        if numbered and not alone:
            continue  # the numbers are the other maker's
        matching = [
            gpu for gpu in gpus if (gpu.index == name if numbered else gpu.uuid.lower().startswith(str(name).lower()))
        ]
        if len(matching) != 1 and alone:
            here = ", ".join(f"{gpu.index} = {gpu.uuid}" for gpu in gpus)
            raise SettingsError(f"{name!r} is no GPU of this machine; accepted are {_ACCEPTED} of: {here}")
        found.update(dict.fromkeys(matching[:1]))
    if not found:
        raise MeterUnavailable("no GPU is selected: the setting gpus names none of these", wanted=False)
    return tuple(AmdPart(gpu) for gpu in found)
