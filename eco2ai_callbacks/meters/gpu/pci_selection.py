"""Choose among the GPUs of a maker whose driver keeps their sensors in sysfs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from eco2ai_callbacks.errors import MeterUnavailable, SettingsError

_NODES_HINT = "docker run --device /dev/dri ...    # and --device /dev/kfd for AMD GPUs"
_ACCEPTED = "'auto', 'visible', 'all', (), or indices or UUIDs"


@dataclass(frozen=True, slots=True)
class PciGpu:
    """One GPU.

    Args:
        index: Its number in the order of the PCI bus, as the makers' own tools have it.
        slot: Its place on the bus: ``0000:03:00.0``.
        folder: Its folder in sysfs.
        uuid: ``GPU-`` and its unique id; its place on the bus where it has none.
        name: The model's name.
        target: An AMD GPU's instruction set, as ``gfx_target_version`` spells it (90010: MI200); 0 where it is unknown.
        serial: Its serial number, which both dies of a package have; empty where it is not known.
        partitions: How many devices the runtime makes of it.
        module: Whether its sensors include a processor and its memory.
    """

    index: int
    slot: str
    folder: Path
    uuid: str
    name: str
    target: int = 0
    serial: str = ""
    partitions: int = 1
    module: bool = False


@dataclass(frozen=True, slots=True)
class GpuPart:
    """A GPU, or one partition of it: a device of the runtime."""

    gpu: PciGpu
    partition: int | None = None

    @property
    def uuid(self) -> str:
        """The GPU's id, with the partition's number."""
        return self.gpu.uuid if self.partition is None else f"{self.gpu.uuid}/{self.partition}"

    @property
    def share(self) -> float:
        """The part of the GPU's energy that is this part's: all partitions are of the same size."""
        return 1.0 if self.partition is None else 1.0 / self.gpu.partitions

    @property
    def described(self) -> str:
        """Which part it is; empty where it is all."""
        return "" if self.partition is None else f"partition 1/{self.gpu.partitions} of device"


def usable(root: Path, slot: Path) -> bool:
    """Return whether this process may use a GPU: a container sees all of them in sysfs, and has some of their nodes.

    Args:
        root: The root of the file system.
        slot: The GPU's folder in sysfs.
    """
    names = [path.name for path in (slot / "drm").glob("renderD*")]
    return not names or any((root / "dev/dri" / name).exists() for name in names)


def choose(
    setting: str | Sequence[int | str],
    gpus: Sequence[PciGpu],
    visible: Callable[[], tuple[tuple[GpuPart, ...], str]],
    *,
    trained_on: Callable[[], Collection[GpuPart]] = tuple,
    alone: bool = True,
) -> tuple[tuple[GpuPart, ...], str]:
    """Return the parts to measure, and the rule by which they were chosen.

    Args:
        setting: The setting ``gpus``.
        gpus: The GPUs, in the order of the PCI bus.
        visible: Returns the devices that the maker's runtime shows, and the variables that limit them.
        trained_on: Returns those that the framework trains on; none where it does not report them.
        alone: Whether the machine has no other maker's GPUs, whose names and numbers the setting would hold.

    Raises:
        MeterUnavailable: Where nothing is selected.
        SettingsError: Where an index or UUID is named that does not exist.
    """
    if not setting:
        raise MeterUnavailable("no GPU is selected", wanted=False)
    if setting == "all":
        return tuple(GpuPart(gpu) for gpu in gpus), "all"
    if not isinstance(setting, str):
        return _named(gpus, setting, alone), "named"
    if setting == "auto" and (used := tuple(trained_on())):
        return used, "auto: framework"
    seen, variables = visible()
    if not seen:
        if variables:
            raise MeterUnavailable(f"no GPU is selected: {variables} hides them all", wanted=False)
        raise MeterUnavailable("no GPU is selected: this process has none of their nodes in /dev/dri", _NODES_HINT)
    return seen, "auto: visible" if setting == "auto" else "visible"


def _named(gpus: Sequence[PciGpu], names: Sequence[int | str], alone: bool) -> tuple[GpuPart, ...]:
    found: dict[PciGpu, None] = {}
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
    return tuple(GpuPart(gpu) for gpu in found)
