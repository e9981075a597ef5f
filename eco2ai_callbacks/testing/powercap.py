"""A fake of Linux's powercap tree, in a folder."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# How a read of these files fails, for root too: an unmapped address (EIO), a setting that can only be written (EACCES).
_REFUSING = {errno.EIO: Path("/proc/self/mem"), errno.EACCES: Path("/proc/sys/vm/compact_memory")}


class PowercapTree:
    """A powercap tree in a folder, laid out as Linux does: zones below their control type, links in the class folder.

    Args:
        base: The folder to build ``sys/`` in.

    Example:
        >>> import tempfile
        >>> from eco2ai_callbacks.meters.cpu.rapl import open_rapl
        >>> from eco2ai_callbacks.testing import BARE_METAL, Clock
        >>> clock = Clock()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tree = PowercapTree(Path(folder))
        ...     package = tree.add_package()
        ...     cpu, dram = open_rapl(tree.root, BARE_METAL, clock)
        ...     clock.advance(1.0)
        ...     tree.advance(package, 12.5)
        ...     active, idle = cpu.interval(busy_s=1.0, seconds=1.0)
        ...     cpu.close()
        >>> active + idle
        12.5
    """

    def __init__(self, base: Path) -> None:
        self.devices: Path = base / "sys/devices/virtual/powercap"
        self.root: Path = base / "sys/class/powercap"
        self.devices.mkdir(parents=True)
        self.root.mkdir(parents=True)
        self._energy_uj: dict[str, int] = {}
        self._modulus_uj: dict[str, int] = {}
        self._broken: set[str] = set()

    def add_package(self, package: int = 0, die: int | None = None, **zone: Any) -> str:
        """Add a processor package, or a die of one, and return the zone's id. ``zone`` as in :meth:`add_zone`."""
        return self.add_zone(f"package-{package}" + ("" if die is None else f"-die-{die}"), **zone)

    def add_dram(self, package: str, **zone: Any) -> str:
        """Add the memory of a package, and return the zone's id. ``zone`` as in :meth:`add_zone`."""
        return self.add_zone("dram", package, **zone)

    def add_zone(
        self,
        name: str,
        parent: str = "intel-rapl",
        *,
        energy_uj: int = 1_000_000,
        range_uj: int | None = 262143328850,
        modulus_uj: int | None = None,
        max_power_w: float | None = None,
        limits_w: Sequence[float] = (),
    ) -> str:
        """Add any zone, and return its id.

        Args:
            name: What the zone's ``name`` file holds.
            parent: A control type or the id of a zone.
            energy_uj: Where the counter begins; one that stands at 0 counts as one that counts nothing.
            range_uj: The range that the zone states; ``None`` leaves the file out.
            modulus_uj: Microjoules after which the counter wraps; by default one step more than its range.
            max_power_w: The first constraint's ``max_power_uw``, in watts; ``None`` leaves the file out.
            limits_w: The constraints' ``power_limit_uw``, in watts.
        """
        number = sum(zone.rpartition(":")[0] == parent for zone in self._energy_uj)
        zone = f"{parent}:{number:x}"
        folder = self._folder(zone)
        if ":" not in parent and not (self.root / parent).is_symlink():
            folder.parent.mkdir()
            self._link(parent)
        folder.mkdir()
        self._link(zone)
        (folder / "subsystem").symlink_to(self.root)
        (folder / "name").write_text(f"{name}\n")
        (folder / "enabled").write_text("0\n")
        if range_uj is not None:
            (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
        if max_power_w is not None:
            (folder / "constraint_0_max_power_uw").write_text(f"{round(max_power_w * 1e6)}\n")
        for constraint, limit_w in enumerate(limits_w):
            (folder / f"constraint_{constraint}_power_limit_uw").write_text(f"{round(limit_w * 1e6)}\n")
        # The counters have 32 bits: from the highest value, the range, it is one step to 0.
        modulus_uj = modulus_uj or (range_uj + round(range_uj / (2**32 - 1)) if range_uj else 2**63)
        self._modulus_uj[zone] = modulus_uj
        self._energy_uj[zone] = energy_uj
        self._write(zone)
        return zone

    def advance(self, zone: str, joules: float) -> None:
        """Add energy to the counter, which wraps at the end of its range.

        Args:
            zone: The zone's id; a broken or unplugged zone shows the energy once it is back.
            joules: The energy.
        """
        self._energy_uj[zone] = (self._energy_uj[zone] + round(joules * 1e6)) % self._modulus_uj[zone]
        self._write(zone)

    def reset(self, zone: str, energy_uj: int = 0) -> None:
        """Set the counter to a value."""
        self._energy_uj[zone] = energy_uj
        self._write(zone)

    def energy_uj(self, zone: str) -> int:
        """Return the counter's value, readable or not."""
        return self._energy_uj[zone]

    def break_(self, zone: str, content: str = "", *, error: int | None = None) -> None:
        """Break reads of the zone, until :meth:`mend`.

        Args:
            zone: The zone's id.
            content: The content of the counter's file.
            error: ``errno.EIO`` or ``errno.EACCES``, for a file that cannot be read.
        """
        self._broken.add(zone)
        file = self._folder(zone) / "energy_uj"
        file.unlink()
        if error is None:
            file.write_text(content)
        else:
            file.symlink_to(_REFUSING[error])

    def mend(self, zone: str) -> None:
        """Undo :meth:`break_`."""
        (self._folder(zone) / "energy_uj").unlink()
        self._broken.discard(zone)
        self._write(zone)

    def deny(self) -> None:
        """Refuse reads of all counters, as the kernel does since CVE-2020-8694 for all users but root."""
        for zone in self._energy_uj:
            self.break_(zone, error=errno.EACCES)

    def unplug(self, zone: str) -> None:
        """Remove a zone and those below it, as when the last thread of a package goes offline."""
        folder = self._folder(zone)
        folder.rename(folder.with_name(f"unplugged-{folder.name}"))

    def plug(self, zone: str) -> None:
        """Undo :meth:`unplug`."""
        folder = self._folder(zone)
        folder.with_name(f"unplugged-{folder.name}").rename(folder)
        self._write(zone)

    def mask(self) -> None:
        """Hide the tree as Docker does: the devices folder is empty, and the class folder's links lead nowhere."""
        self.devices.rename(self.devices.with_name("masked"))
        self.devices.mkdir()

    def _folder(self, zone: str) -> Path:
        control, *numbers = zone.split(":")
        parts = [":".join([control, *numbers[: depth + 1]]) for depth in range(len(numbers))]
        return self.devices.joinpath(control, *parts)

    def _link(self, name: str) -> None:
        # Relative, as the kernel's: mounted elsewhere, the class folder's links break.
        target = self._folder(name).relative_to(self.devices.parents[2])
        (self.root / name).symlink_to(Path("../..") / target)

    def _write(self, zone: str) -> None:
        file = self._folder(zone) / "energy_uj"
        if zone not in self._broken and file.parent.exists():
            file.write_text(f"{self._energy_uj[zone]}\n")
