"""Call NVIDIA's management library: load it, explain its return codes, and list its boards."""

from __future__ import annotations

# ruff: noqa: N802  the names are those of nvml.h
import importlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu.selection import Gpu, MigDevice, Part

T = TypeVar("T")

# Return codes of nvml.h (nvmlReturn_t).
UNINITIALIZED = 1
NOT_SUPPORTED = 3
NO_PERMISSION = 4
TIMEOUT = 10
FUNCTION_NOT_FOUND = 13
UNKNOWN = 999
TRANSIENT = frozenset({TIMEOUT, UNKNOWN})
ABSENT = frozenset({NOT_SUPPORTED, FUNCTION_NOT_FOUND})

_REASONS = {
    UNINITIALIZED: "the library was shut down",
    NOT_SUPPORTED: "not supported",
    NO_PERMISSION: "insufficient permissions",
    6: "not found",
    9: "no NVIDIA driver",
    TIMEOUT: "no answer in time",
    12: "no NVIDIA driver",
    FUNCTION_NOT_FOUND: "not supported by this driver",
    15: "the GPU is lost",
    16: "the GPU needs a reset",
    17: "blocked by the operating system",
    18: "driver and library versions differ",
    UNKNOWN: "an unknown error",
}
_HINTS = {
    NO_PERMISSION: "add this user to the group of /dev/nvidia*, or start the container with docker run --gpus all",
    17: "start the container with docker run --gpus all",
    18: "reboot after a driver update, or reload the driver: sudo rmmod nvidia_uvm nvidia && sudo modprobe nvidia",
}


class Nvml(Protocol):
    """The functions of ``pynvml`` (``nvidia-ml-py``) that are used; handles are opaque."""

    # The class of its exceptions, whose `value` is the code.
    NVMLError: type[Exception]

    def nvmlInit(self) -> object: ...
    def nvmlShutdown(self) -> object: ...
    def nvmlDeviceGetCount(self) -> int: ...
    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Any: ...
    def nvmlDeviceGetHandleByUUID(self, uuid: str, /) -> Any: ...
    def nvmlDeviceGetUUID(self, handle: Any, /) -> str: ...
    def nvmlDeviceGetName(self, handle: Any, /) -> str: ...
    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, /) -> int: ...
    def nvmlDeviceGetPowerUsage(self, handle: Any, /) -> int: ...
    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any, /) -> Sequence[Any]: ...
    def nvmlDeviceGetMigMode(self, handle: Any, /) -> Sequence[int]: ...
    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Any, /) -> int: ...
    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, index: int, /) -> Any: ...
    def nvmlDeviceGetGpuInstanceId(self, handle: Any, /) -> int: ...
    def nvmlDeviceGetComputeInstanceId(self, handle: Any, /) -> int: ...
    def nvmlDeviceGetAttributes(self, handle: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Listing:
    """The boards that the driver lists.

    Args:
        gpus: Those that this process may use, in NVML's order.
        handles: NVML's handle of each board and slice, by UUID.
        unreadable: The code for which each of the others cannot be used, by index.
    """

    gpus: tuple[Gpu, ...]
    handles: dict[str, Any]
    unreadable: dict[int, int]


def load_nvml() -> Nvml:
    """Import and return the binding ``pynvml``.

    Raises:
        MeterUnavailable: Where it is not installed.
    """
    try:
        return cast(Nvml, importlib.import_module("pynvml"))
    except ImportError:
        raise MeterUnavailable("the package nvidia-ml-py is not installed", "pip install nvidia-ml-py") from None


def initialise(nvml: Nvml) -> None:
    """Initialise the library; the caller has to call ``nvmlShutdown`` once.

    Raises:
        MeterUnavailable: Where there is no driver, or none that can be used.
    """
    code = code_of(nvml, nvml.nvmlInit)
    if code is not None:
        raise MeterUnavailable(reason(code), hint(code))


def hint(code: int) -> str | None:
    """Return what the user can do about a code; ``None`` where nothing is known to help."""
    return _HINTS.get(code)


def reason(code: int) -> str:
    """Return the meaning of a return code, as one clause."""
    return _REASONS.get(code, f"NVML error {code}")


def ask(nvml: Nvml, function: Callable[..., T], *arguments: Any) -> tuple[T, None] | tuple[None, int]:
    """Return the result of a function of NVML, or the code that it failed with; retry once on a transient one."""
    code = UNKNOWN
    for _ in range(2):
        try:
            return function(*arguments), None
        except nvml.NVMLError as error:
            code = error_code(error)
        if code not in TRANSIENT:
            break
    return None, code


def code_of(nvml: Nvml, function: Callable[..., Any], *arguments: Any) -> int | None:
    """Return the code that a call fails with; ``None`` where it succeeds."""
    return ask(nvml, function, *arguments)[1]


def error_code(error: Exception) -> int:
    """Return the code of an exception of the binding."""
    return int(getattr(error, "value", UNKNOWN))


def list_gpus(nvml: Nvml) -> Listing:
    """List the boards of an initialised library and their multi-instance slices.

    Raises:
        MeterUnavailable: Where there is none that this process may use.
    """
    count, code = ask(nvml, nvml.nvmlDeviceGetCount)
    if count is None:
        raise MeterUnavailable(reason(code or UNKNOWN))
    if count == 0:
        raise MeterUnavailable("the driver lists no GPU")
    gpus: list[Gpu] = []
    handles: dict[str, Any] = {}
    unreadable: dict[int, int] = {}
    for index in range(count):
        handle, code = ask(nvml, nvml.nvmlDeviceGetHandleByIndex, index)
        uuid = name = None
        if code is None:
            uuid, code = ask(nvml, nvml.nvmlDeviceGetUUID, handle)
        if code is None:
            name, code = ask(nvml, nvml.nvmlDeviceGetName, handle)
        if uuid is None or name is None:
            unreadable[index] = code or UNKNOWN
            continue
        handles[uuid] = handle
        slices = _mig_slices(nvml, handle)
        gpus.append(Gpu(index, uuid, name, slices, _mig_devices(nvml, handle, slices, handles)))
    if not gpus:
        index, code = next(iter(unreadable.items()))
        raise MeterUnavailable(f"GPU {index}: {reason(code)}", hint(code))
    return Listing(tuple(gpus), handles, unreadable)


def processes(nvml: Nvml, handle: Any) -> frozenset[int]:
    """Return the ids of the processes that compute on a board or slice; in a container they are the host's ids."""
    rows, code = ask(nvml, nvml.nvmlDeviceGetComputeRunningProcesses, handle)
    if code == FUNCTION_NOT_FOUND:  # drivers before 510 have the second version only
        older = getattr(nvml, "nvmlDeviceGetComputeRunningProcesses_v2", None)
        rows = ask(nvml, older, handle)[0] if older else None
    return frozenset(int(row.pid) for row in rows or ())


def parts_in_use(nvml: Nvml, listing: Listing, pids: Collection[int]) -> tuple[Part, ...]:
    """Return the boards and slices on which one of these processes computes."""
    found: list[Part] = []
    for gpu in listing.gpus:
        for part in [Part(gpu, mig) for mig in gpu.mig] or [Part(gpu)]:
            if not processes(nvml, listing.handles[part.uuid]).isdisjoint(pids):
                found.append(part)
    return tuple(found)


def _mig_slices(nvml: Nvml, handle: Any) -> int:
    """Return the compute slices of a board in multi-instance mode; 0 where that mode is off."""
    mode, _ = ask(nvml, nvml.nvmlDeviceGetMigMode, handle)
    if mode is None or not mode[0]:
        return 0
    return ask(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, handle)[0] or 0


def _mig_devices(nvml: Nvml, board: Any, slices: int, handles: dict[str, Any]) -> tuple[MigDevice, ...]:
    found: list[MigDevice] = []
    for index in range(slices):
        handle, code = ask(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, board, index)
        if code is not None:  # the numbers have holes
            continue
        uuid, _ = ask(nvml, nvml.nvmlDeviceGetUUID, handle)
        gpu_instance, _ = ask(nvml, nvml.nvmlDeviceGetGpuInstanceId, handle)
        compute_instance, _ = ask(nvml, nvml.nvmlDeviceGetComputeInstanceId, handle)
        attributes, _ = ask(nvml, nvml.nvmlDeviceGetAttributes, handle)
        if uuid is None or gpu_instance is None or compute_instance is None:
            continue
        handles[uuid] = handle
        share = None if attributes is None else int(attributes.computeInstanceSliceCount) or None
        found.append(MigDevice(uuid, gpu_instance, compute_instance, share))
    return tuple(found)
