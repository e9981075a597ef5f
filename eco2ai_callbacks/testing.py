"""Fakes for those who test a meter, a sink or a training with this package: nothing of it is used in measuring."""

from __future__ import annotations

# ruff: noqa: N802  the NVML fake has the names of nvml.h
import collections
import dataclasses
import errno
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eco2ai_callbacks.host.machine import Host


class Clock:
    """A monotonic clock that moves only when it is told to.

    Example:
        >>> clock = Clock()
        >>> clock.advance(2.5)
        >>> clock()
        2.5
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self.now += seconds


BARE_METAL = Host(
    boot_id="00000000-0000-0000-0000-000000000001",
    system="Linux",
    virtual=False,
    cpu_name="Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz",
    cpu_vendor="GenuineIntel",
    threads=12,
    sockets=1,
    allowed_threads=12.0,
    cpu_family=6,
    cpu_number=158,
)
"""A desktop without a hypervisor."""

CLOUD_VM = dataclasses.replace(
    BARE_METAL,
    boot_id="00000000-0000-0000-0000-000000000002",
    virtual=True,
    cpu_name="AMD EPYC",
    cpu_vendor="AuthenticAMD",
    threads=2,
    allowed_threads=2.0,
    cpu_family=25,
    cpu_number=1,
    vendor="Amazon EC2",
)
"""A two-thread virtual machine whose processor's name identifies no model."""


@dataclasses.dataclass
class FakeGpu:
    """A board of :class:`FakeNvml`; ``watts`` and ``base_j`` may be changed, from the last call on.

    Args:
        uuid: ``GPU-...``.
        name: The model's name.
        watts: The power that it draws.
        base_j: What its counter had counted before.
        counter: Whether it has an energy counter.
        power: Whether it tells its power.
        pids: Processes that compute on it.
        mig_slices: Compute slices that it can be cut into; 0 where multi-instance mode is off.
        mig: Its slices, by UUID: GPU instance, compute instance, compute slices.
    """

    uuid: str
    name: str = "NVIDIA A100-SXM4-80GB"
    watts: float = 100.0
    base_j: float = 1_000_000.0
    counter: bool = True
    power: bool = True
    pids: tuple[int, ...] = ()
    mig_slices: int = 0
    mig: Mapping[str, tuple[int, int, int]] = dataclasses.field(default_factory=dict)


class FakeNvml:
    """Stands for the module ``pynvml``: boards that draw what they are told to, on a clock that we move.

    A handle is a UUID. ``calls`` counts the calls of each function.

    Args:
        clock: Where energy gets its time from.
        gpus: The boards, in NVML's order.

    Example:
        >>> clock = Clock()
        >>> nvml = FakeNvml(clock, FakeGpu("GPU-a", watts=250.0))
        >>> meter = open_nvml("all", clock=clock, library=nvml)  # doctest: +SKIP
    """

    class NVMLError(Exception):
        """Carries a code of ``nvml.h`` as ``value``."""

        def __init__(self, value: int) -> None:
            super().__init__(f"NVML error {value}")
            self.value = value

    def __init__(self, clock: Clock, *gpus: FakeGpu) -> None:
        self.gpus = gpus
        self.calls: collections.Counter[str] = collections.Counter()
        self._clock = clock
        self._faults: list[tuple[str, int, str | None, list[int]]] = []
        self._used_j = [0.0] * len(gpus)
        self._seen = clock()
        self._open = 0

    @property
    def initialised(self) -> bool:
        """Whether somebody owes it a shutdown."""
        return self._open > 0

    def fail(self, function: str, code: int, *, after: int = 0, times: int = 10**9, uuid: str | None = None) -> None:
        """Let a function fail.

        Args:
            function: Its name.
            code: The code of ``nvml.h``.
            after: Calls that still succeed.
            times: Calls that fail then.
            uuid: The only board or slice for which it does.
        """
        self._faults.append((function, code, uuid, [after, times]))

    def nvmlInit(self) -> None:
        self._called("nvmlInit")
        self._open += 1

    def nvmlShutdown(self) -> None:
        self._called("nvmlShutdown")
        self._open -= 1

    def nvmlDeviceGetCount(self) -> int:
        self._called("nvmlDeviceGetCount")
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        self._called("nvmlDeviceGetHandleByIndex", self.gpus[index].uuid)
        return self.gpus[index].uuid

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self._called("nvmlDeviceGetHandleByUUID", uuid)
        return uuid

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        self._called("nvmlDeviceGetUUID", handle)
        return handle

    def nvmlDeviceGetName(self, handle: str) -> str:
        self._called("nvmlDeviceGetName", handle)
        return self._gpu(handle).name

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        gpu = self._gpu(handle)
        self._called("nvmlDeviceGetTotalEnergyConsumption", handle, able=gpu.counter)
        return round((gpu.base_j + self._used_j[self.gpus.index(gpu)]) * 1000)

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        gpu = self._gpu(handle)
        self._called("nvmlDeviceGetPowerUsage", handle, able=gpu.power)
        return round(gpu.watts * 1000)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[types.SimpleNamespace]:
        self._called("nvmlDeviceGetComputeRunningProcesses", handle)
        return [types.SimpleNamespace(pid=pid) for pid in self._gpu(handle).pids]

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:
        self._called("nvmlDeviceGetMigMode", handle)
        return [int(self._gpu(handle).mig_slices > 0)] * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: str) -> int:
        self._called("nvmlDeviceGetMaxMigDeviceCount", handle)
        return self._gpu(handle).mig_slices

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: str, index: int) -> str:
        slices = list(self._gpu(handle).mig)
        self._called("nvmlDeviceGetMigDeviceHandleByIndex", handle)
        if index >= len(slices):
            raise self.NVMLError(6)  # NVML_ERROR_NOT_FOUND
        return slices[index]

    def nvmlDeviceGetGpuInstanceId(self, handle: str) -> int:
        self._called("nvmlDeviceGetGpuInstanceId", handle)
        return self._gpu(handle).mig[handle][0]

    def nvmlDeviceGetComputeInstanceId(self, handle: str) -> int:
        self._called("nvmlDeviceGetComputeInstanceId", handle)
        return self._gpu(handle).mig[handle][1]

    def nvmlDeviceGetAttributes(self, handle: str) -> types.SimpleNamespace:
        self._called("nvmlDeviceGetAttributes", handle)
        return types.SimpleNamespace(computeInstanceSliceCount=self._gpu(handle).mig[handle][2])

    def _gpu(self, handle: str) -> FakeGpu:
        return next(gpu for gpu in self.gpus if handle == gpu.uuid or handle in gpu.mig)

    def _called(self, function: str, handle: str | None = None, *, able: bool = True) -> None:
        self.calls[function] += 1
        passed, self._seen = self._clock() - self._seen, self._clock()
        self._used_j = [used + gpu.watts * passed for used, gpu in zip(self._used_j, self.gpus, strict=True)]
        if not self._open and function != "nvmlInit":
            raise self.NVMLError(1)  # NVML_ERROR_UNINITIALIZED
        for name, code, uuid, left in self._faults:
            if name == function and uuid in (None, handle):
                if left[0] > 0:
                    left[0] -= 1
                elif left[1] > 0:
                    left[1] -= 1
                    raise self.NVMLError(code)
        if not able:
            raise self.NVMLError(3)  # NVML_ERROR_NOT_SUPPORTED


# What a read of these files says, to root too: an unmapped address (EIO), a setting that can only be written (EACCES).
_REFUSING = {errno.EIO: Path("/proc/self/mem"), errno.EACCES: Path("/proc/sys/vm/compact_memory")}


class PowercapTree:
    """A powercap tree in a folder, laid out as Linux does: zones below their control type, links in the class folder.

    Args:
        base: The folder to build ``sys/`` in.

    Example:
        >>> tree = PowercapTree(tmp_path)  # doctest: +SKIP
        >>> package = tree.add_package(0)  # doctest: +SKIP
        >>> cpu, dram = open_rapl(tree.root, BARE_METAL)  # doctest: +SKIP
        >>> tree.advance(package, 12.5)  # doctest: +SKIP
    """

    def __init__(self, base: Path) -> None:
        self.devices = base / "sys/devices/virtual/powercap"
        self.root = base / "sys/class/powercap"
        self.devices.mkdir(parents=True)
        self.root.mkdir(parents=True)
        self._energy_uj: dict[str, int] = {}
        self._modulus_uj: dict[str, int] = {}
        self._broken: set[str] = set()

    def add_package(self, package: int = 0, die: int | None = None, **zone: Any) -> str:
        """Add a processor package, or a die of one; returns the zone's id. ``zone`` as in :meth:`add_zone`."""
        return self.add_zone(f"package-{package}" + ("" if die is None else f"-die-{die}"), **zone)

    def add_dram(self, package: str, **zone: Any) -> str:
        """Add the memory of a package; returns the zone's id. ``zone`` as in :meth:`add_zone`."""
        return self.add_zone("dram", package, **zone)

    def add_zone(
        self,
        name: str,
        parent: str = "intel-rapl",
        *,
        energy_uj: int = 0,
        range_uj: int | None = 262143328850,
        max_power_w: float | None = None,
        limits_w: Sequence[float] = (),
    ) -> str:
        """Add any zone; returns its id.

        Args:
            name: What the zone's ``name`` file holds.
            parent: A control type or the id of a zone.
            energy_uj: What the counter starts at.
            range_uj: The counter's range; ``None`` leaves the file out.
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
        self._modulus_uj[zone] = range_uj + round(range_uj / (2**32 - 1)) if range_uj else 2**63
        self._energy_uj[zone] = energy_uj
        self._write(zone)
        return zone

    def advance(self, zone: str, joules: float) -> None:
        """Let the hardware use energy, over the end of the range if it comes to that; seen once the zone is whole."""
        self._energy_uj[zone] = (self._energy_uj[zone] + round(joules * 1e6)) % self._modulus_uj[zone]
        self._write(zone)

    def reset(self, zone: str, energy_uj: int = 0) -> None:
        """Set the counter to a value."""
        self._energy_uj[zone] = energy_uj
        self._write(zone)

    def energy_uj(self, zone: str) -> int:
        """What the hardware's counter stands at, readable or not."""
        return self._energy_uj[zone]

    def break_(self, zone: str, content: str = "", *, error: int | None = None) -> None:
        """Spoil what a read of the zone gives, until :meth:`mend`.

        Args:
            zone: The zone's id.
            content: What the file holds instead.
            error: ``errno.EIO`` or ``errno.EACCES`` instead of any content.
        """
        self._broken.add(zone)
        file = self._folder(zone) / "energy_uj"
        file.unlink()
        if error is None:
            file.write_text(content)
        else:
            file.symlink_to(_REFUSING[error])

    def mend(self, zone: str) -> None:
        """Let reads of the zone give what the hardware's counter stands at."""
        (self._folder(zone) / "energy_uj").unlink()
        self._broken.discard(zone)
        self._write(zone)

    def deny(self) -> None:
        """Let the kernel refuse all counters, as it does since CVE-2020-8694 to everybody but root."""
        for zone in self._energy_uj:
            self.break_(zone, error=errno.EACCES)

    def unplug(self, zone: str) -> None:
        """Take a zone and those below it away, as when the last thread of a package goes offline."""
        folder = self._folder(zone)
        folder.rename(folder.with_name(f"unplugged-{folder.name}"))

    def plug(self, zone: str) -> None:
        """Bring back what :meth:`unplug` took."""
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
