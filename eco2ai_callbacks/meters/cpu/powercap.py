"""Find the processor's energy counters in Linux's powercap tree, or the reason why there are none."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.host.machine import Host

PACKAGE, DRAM = "package", "dram"

# Where Linux has the tree.
DEFAULT_ROOT = Path("/sys/class/powercap")

# Control types in the order of preference: the kernel's `intel-rapl-mmio` has the same package a second time.
_CONTROLS = ("intel-rapl", "intel-rapl-mmio")

# Linux, drivers/powercap/powercap_sys.c: a zone is called <parent>:<id>, the id in hexadecimal.
_ZONE_ID = re.compile(r"intel-rapl(?:-mmio)?(?::[0-9a-f]+)+")

# Linux, drivers/powercap/intel_rapl_common.c, rapl_package names; TPMI machines use the first form.
_PACKAGE_NAME = re.compile(r"package-(\d+)(?:-die-(\d+))?")

# More than any package draws; the bound where the zone has none.
DEFAULT_CAP_W = 1000.0

# How far a zone may exceed its limits: they are running averages.
_CAP_MARGIN = 1.5

# The counters are 32 bits wide (Intel SDM volume 3, RAPL interfaces; AMD PPR, Core and L3 energy). Their steps are
# 2^-10 J at most on all known processors; a range that would have longer ones is not that of a 32-bit counter.
_COUNTER_STEPS = 2**32
_LONGEST_STEP_UJ = 1000

_UW_PER_W = 1e6

# moby's default MaskedPaths hold /sys/devices/virtual/powercap since 24.0.7 (for CVE-2020-8694), so that the class
# folder's links lead nowhere. Masks win over mounts in the same place: another folder is needed.
_CONTAINER_HINT = (
    "docker run --volume /sys/devices/virtual/powercap:/powercap:ro --env ECO2AI_POWERCAP_ROOT=/powercap ..."
)
_MODULE_HINT = "sudo modprobe intel_rapl_msr"

# Errors of a read whose zone is gone: the folder was removed, or the zone while it was open.
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO})


# Package, die and name.
_Key = tuple[int, int | None, str]


@dataclass(frozen=True, slots=True)
class Zone:
    """One energy counter of the tree.

    Args:
        package: Number of the processor package.
        die: Number of the die in it, where the kernel has a zone for each die.
        name: ``package`` or ``dram``.
        path: The zone's folder.
        range_uj: The highest value of the counter; ``None`` where it cannot be read.
        cap_w: Watts that the zone cannot exceed.
    """

    package: int
    die: int | None
    name: str
    path: Path
    range_uj: int | None
    cap_w: float

    @property
    def label(self) -> str:
        """The zone's name in failures: ``package-0``, ``package-1-die-0``, ``package-0 dram``."""
        die = "" if self.die is None else f"-die-{self.die}"
        return f"package-{self.package}{die}" + ("" if self.name == PACKAGE else f" {self.name}")

    @property
    def modulus_uj(self) -> int | None:
        """Microjoules after which the counter wraps: its range and one step more."""
        if self.range_uj is None:
            return None
        step_uj = round(self.range_uj / (_COUNTER_STEPS - 1))
        return self.range_uj + (step_uj if step_uj <= _LONGEST_STEP_UJ else 1)

    def read_uj(self) -> int:
        """Return the counter's value; raises ``OSError`` or ``ValueError`` where there is no valid one.

        The file is opened at each call, some 15 µs: a zone is found again after a hot-plug, a revoked permission is
        noticed, and nothing stays open.
        """
        text = (self.path / "energy_uj").read_bytes().strip()
        if not text.isdigit():
            raise ValueError("not a number")
        if self.range_uj is not None and int(text) > self.range_uj:
            raise BeyondRangeError("beyond its range")
        return int(text)

    def unreadable(self, zones: Sequence[Zone], error: OSError | ValueError) -> MeterUnavailable:
        """Return the exception for a machine none of whose packages can be read; :func:`unreadable` has the words."""
        return unreadable(zones, self, error)

    def counts(self) -> bool:
        """Return whether the counter can be read and counts.

        One that stands at 0 does not: Linux itself leaves such domains out (intel_rapl_common.c, rapl_check_domain).
        """
        try:
            return self.read_uj() > 0
        except (OSError, ValueError):
            return False


class BeyondRangeError(ValueError):
    """A counter's value is higher than the range that its zone states."""


def is_gone(error: OSError | ValueError) -> bool:
    """Return whether a failed read means that the zone was removed, and not just that its value could not be read."""
    return isinstance(error, OSError) and error.errno in _GONE


def describe(error: OSError | ValueError) -> str:
    """Return why a read failed, in a few words."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def locate(root: Path, host: Host) -> tuple[Zone, ...]:
    """Return the zones of packages and memory, readable or not; raises ``MeterUnavailable`` where there are none.

    A virtual machine is searched as well: some hypervisors give their guests counters.

    Args:
        root: The class folder (flat links), the devices folder or one control type's folder.
        host: The machine.
    """
    if host.system != "Linux":
        raise MeterUnavailable("absent: not Linux")
    try:
        entries = list(root.iterdir())
    except PermissionError:
        raise MeterUnavailable(f"unreadable: no permission to list {root}") from None
    except OSError:
        raise _absent(host, root, f"no powercap tree in {root}", _module_hint(host)) from None
    if not any(os.path.exists(entry) for entry in entries):  # noqa: PTH110 - Path.exists raises where it is forbidden
        hints = [f"in a container: {_CONTAINER_HINT}"]
        if module := _module_hint(host):
            hints.append(f"elsewhere: {module}")
        raise _absent(host, root, f"{root} is empty, as Docker 24.0.7 and later show it", "\n".join(hints))
    zones = _zones(root)
    if not zones:
        raise _absent(host, root, f"no processor package in {root}", _module_hint(host))
    return zones


def _absent(host: Host, root: Path, what: str, hint: str | None) -> MeterUnavailable:
    if not host.virtual:
        return MeterUnavailable(f"absent: {what}", hint)
    # Nobody expects counters in a guest's own tree. Who names another folder is told what is in it.
    return MeterUnavailable("absent: virtual machine" + ("" if root == DEFAULT_ROOT else f", and {what}"))


def unreadable(zones: Sequence[Zone], zone: Zone, error: OSError | ValueError) -> MeterUnavailable:
    """Return the exception for a machine whose packages cannot be read, with the commands that permit a group to.

    Args:
        zones: All zones that were found.
        zone: The one that could not be read.
        error: What reading it raised.
    """
    file = zone.path / "energy_uj"
    if not isinstance(error, PermissionError):
        return MeterUnavailable(f"unreadable: {file}: {describe(error)}")
    # One pattern per depth. A group may read, never the world: the counters leak what others compute.
    patterns = sorted({re.sub(r"(intel-rapl(?:-mmio)?):[0-9a-f:]+", r"\1:*", str(z.path)) for z in zones})
    rules = "".join(rf"z {pattern}/energy_uj 0440 root power\n" for pattern in patterns)
    return MeterUnavailable(
        f"unreadable: no permission to read {file}",
        "sudo groupadd --system --force power\n"
        'sudo usermod --append --groups power "$USER"    # counts from the next login on\n'
        f"printf '{rules}' | sudo tee /etc/tmpfiles.d/eco2ai-rapl.conf\n"
        "sudo systemd-tmpfiles --create /etc/tmpfiles.d/eco2ai-rapl.conf",
    )


def _module_hint(host: Host) -> str | None:
    return _MODULE_HINT if host.cpu_vendor in ("GenuineIntel", "AuthenticAMD", "HygonGenuine") else None


def _zones(root: Path) -> tuple[Zone, ...]:
    """Return the zones of one control type; each package, die and name once.

    It is the first control type that has a package which can be read, else the first that has one at all. A zone of it
    that cannot be read is replaced by its twin in another one, where that can be read.
    """
    folders = _zone_folders(root)
    views = [view for control in _CONTROLS if (view := _view(folders, control))]
    views.sort(key=lambda view: not any(zone.name == PACKAGE and zone.counts() for zone in view.values()))
    return tuple(
        next((twin for view in views if (twin := view.get(key)) is not None and twin.counts()), zone)
        for key, zone in (views[0].items() if views else ())
    )


def _view(folders: Mapping[str, Path], control: str) -> dict[_Key, Zone]:
    """Return the zones of a control type; none where it has no package."""
    found: dict[_Key, Zone] = {}
    packages: dict[str, tuple[int, int | None]] = {}
    # In this order a package comes before its sub-zones.
    for zone_id in sorted(zone_id for zone_id in folders if zone_id.startswith(f"{control}:")):
        folder = folders[zone_id]
        name = _text(folder / "name")
        if match := _PACKAGE_NAME.fullmatch(name):
            packages[zone_id] = int(match[1]), int(match[2]) if match[2] else None
            key = (*packages[zone_id], PACKAGE)
        elif name == DRAM and (parent := packages.get(zone_id.rpartition(":")[0])):
            key = (*parent, DRAM)
        else:
            continue
        if key not in found or not found[key].counts():
            found[key] = Zone(*key, folder, _number(folder / "max_energy_range_uj"), _cap_w(folder))
    return found


def _zone_folders(folder: Path) -> dict[str, Path]:
    """Return zones by their id, each once: the class folder has a sub-zone both below its parent and as a link."""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return {}
    here = {name: folder / name for name in names if _ZONE_ID.fullmatch(name)}
    found = dict(here)
    for inside in [*here.values(), *(folder / control for control in _CONTROLS if control in names)]:
        found = _zone_folders(inside) | found
    return found


def _cap_w(folder: Path) -> float:
    """Return the watts that a zone cannot exceed.

    `constraint_0_max_power_uw` is the thermal design power, and a desktop or laptop may run at more than 1.5 times that
    for as long as its limits allow (Core i9-12900K: 125 W, limit 241 W). So the limits count where they are higher.
    """
    design_uw = _number(folder / "constraint_0_max_power_uw")
    if not design_uw:
        return DEFAULT_CAP_W
    # Linux, intel_rapl_common.c: long term, short term and peak power.
    limits_uw = [_number(folder / f"constraint_{number}_power_limit_uw") or 0 for number in range(3)]
    return max(_CAP_MARGIN * design_uw / _UW_PER_W, min(DEFAULT_CAP_W, _CAP_MARGIN * max(limits_uw) / _UW_PER_W))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(file: Path) -> int | None:
    """Return a positive number from a file; ``None`` where there is none."""
    text = _text(file)
    return (int(text) or None) if re.fullmatch(r"[0-9]+", text) else None
