"""Define what a source of energy figures is before it is opened, and what it is opened with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu.busy import JobBusy
from eco2ai_callbacks.meters.meter import Meter
from eco2ai_callbacks.settings import Settings

if TYPE_CHECKING:
    from eco2ai_callbacks.meters.gpu.nvml_driver import Nvml


@dataclass(frozen=True, slots=True)
class MeterContext:
    """What meters are opened with.

    Args:
        host: The machine.
        job: Busy time and members of the job's process tree; ``None`` where all of the machine is measured.
        proc: Where procfs is mounted.
        root: The root of the file system, below which devices are searched.
        environ: The environment, for the variables that hide GPUs.
        clock: Monotonic seconds.
        gpu_uuids: UUIDs of the GPUs that the framework trains on, where it reports them.
        world_size: Processes of the job, as its launcher says.
        nvml: A replacement for ``pynvml``, in tests.
        amdsmi: A replacement for ``amdsmi``, in tests.
        events: A replacement for the kernel's performance events, in tests.
        apple: A replacement for ``zeus_apple_silicon``, in tests.
        pmic: A replacement for what asks a Raspberry Pi's firmware, in tests.
        emi: A replacement for Windows's energy meters, in tests.
    """

    host: Host
    job: JobBusy | None
    proc: Path = Path("/proc")
    root: Path = Path("/")
    environ: Mapping[str, str] | None = None
    clock: Callable[[], float] = time.monotonic
    gpu_uuids: tuple[str, ...] | None = None
    world_size: int = 1
    nvml: Nvml | None = None
    amdsmi: Any = None
    events: Any = None
    apple: Any = None
    pmic: Callable[[], str] | None = None
    emi: Any = None


# An open meter, and what it reads in one clause.
Opened = tuple[Meter, str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source that may work on this machine.

    Args:
        name: The source, as ``doctor`` and failures name it.
        domains: What it reads: ``cpu``, ``ram``, ``gpu:nvidia``, ... A source is not opened where another one covers
            one of its domains. GPUs of different vendors are different domains.
        open: Opens its meters; raises ``MeterUnavailable`` where there are none.
        present: Returns whether the machine may have such hardware; where not, the source is not even named.

    Example:
        >>> Candidate("none", frozenset({"gpu:none"}), lambda settings, context: ()).name
        'none'
    """

    name: str
    domains: frozenset[str]
    open: Callable[[Settings, MeterContext], Iterable[Opened]]
    present: Callable[[MeterContext], bool] = lambda _: True
