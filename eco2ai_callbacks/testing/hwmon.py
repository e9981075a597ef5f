"""A fake of Linux's hwmon tree, in a folder, with the devices that its chips belong to."""

from __future__ import annotations

import errno
from pathlib import Path

# How a read of these files fails, for root too: an unmapped address (EIO), a setting that can only be written (EACCES).
_REFUSING = {errno.EIO: Path("/proc/self/mem"), errno.EACCES: Path("/proc/sys/vm/compact_memory")}


class HwmonTree:
    """Chips with sensors below ``sys/``, laid out as Linux does: folders of devices, links in the class folder.

    Args:
        base: The folder to build ``sys/`` in: the root of the machine's file system.

    Example:
        >>> import tempfile
        >>> from eco2ai_callbacks.meters.hwmon import sensors
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tree = HwmonTree(Path(folder))
        ...     chip = tree.add_chip("amdgpu", power1_average=150_000_000)
        ...     found = [(sensor.label, sensor.read()) for sensor in sensors(Path(folder))]
        >>> found
        [('power1', 150.0)]
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root: Path = base / "sys/class/hwmon"
        self.root.mkdir(parents=True, exist_ok=True)
        # Another tree may have built a part of the same machine.
        self._chips = len(list(self.root.iterdir()))

    def add_pci(self, slot: str, vendor: str, device: str, kind: str = "0x030200", **files: str) -> Path:
        """Add a device of the PCI bus, and return its folder.

        Args:
            slot: Domain, bus, device and function, as in ``0000:03:00.0``.
            vendor: Vendor id, as in ``0x1002``.
            device: Device id.
            kind: Class, subclass and interface.
            files: More files of the device, by name.
        """
        folder = self.base / "sys/devices/pci0000:00" / slot
        for name, content in {"vendor": vendor, "device": device, "class": kind, **files}.items():
            self.write(folder / name, content)
        self._link(self.base / "sys/bus/pci/devices" / slot, folder)
        return folder

    def add_drm(self, device: Path, card: int) -> None:
        """Give a device its card and its node for rendering, which this process may use, as a driver does."""
        self.write(self.base / "dev/dri" / f"renderD{128 + card}", "")
        for name in (f"card{card}", f"renderD{128 + card}"):
            self._link(device / "drm" / name / "device", device)
            self._link(self.base / "sys/class/drm" / name, device / "drm" / name)

    def add_chip(self, name: str, device: Path | None = None, **files: int | str) -> Path:
        """Add a chip, and return its folder.

        Args:
            name: What the driver calls it.
            device: The folder of its device; a platform device of its own by default.
            files: Its files: ``power1_average``, ``energy1_input``, ``power1_label``, ...
        """
        device = device or self.base / "sys/devices/platform" / f"{name}.{self._chips}"
        chip = device / "hwmon" / f"hwmon{self._chips}"
        self._chips += 1
        self.write(chip / "name", name)
        self._link(chip / "device", device)
        for file, content in files.items():
            self.write(chip / file, str(content))
        self._link(self.root / chip.name, chip)
        return chip

    def write(self, file: Path, content: str | bytes) -> None:
        """Write a file, with the folders above it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_symlink():
            file.unlink()
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            file.write_text(f"{content}\n")

    def set(self, chip: Path, file: str, value: float) -> None:
        """Let a sensor show a value in joules or watts."""
        self.write(chip / file, str(round(value * 1e6)))

    def break_(self, file: Path, content: str = "", *, error: int | None = None) -> None:
        """Break reads of a file, until it is written again.

        Args:
            file: The file.
            content: What it holds then.
            error: ``errno.EIO`` or ``errno.EACCES``, for a file that cannot be read.
        """
        if error is None:
            self.write(file, content)
        else:
            file.unlink()
            file.symlink_to(_REFUSING[error])

    def unload(self, chip: Path) -> None:
        """Remove a chip, as when its driver is unloaded."""
        chip.rename(chip.with_name(f"gone-{chip.name}"))

    def load(self, chip: Path) -> None:
        """Undo :meth:`unload`."""
        chip.with_name(f"gone-{chip.name}").rename(chip)

    def _link(self, link: Path, target: Path) -> None:
        link.parent.mkdir(parents=True, exist_ok=True)
        target.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
