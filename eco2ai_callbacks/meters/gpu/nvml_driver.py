"""Call NVIDIA's management library: load it, explain its return codes, and list its boards."""

from __future__ import annotations

# ruff: noqa: N802  the names are those of nvml.h
import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol, cast

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu import nvml_binding
from eco2ai_callbacks.meters.gpu.nvml_library import NO_DRIVER, require_driver
from eco2ai_callbacks.meters.gpu.selection import UNNAMED, Gpu, MigDevice, Part

# Return codes of nvml.h (nvmlReturn_t).
UNINITIALIZED = 1
NOT_SUPPORTED = 3
NO_PERMISSION = 4
TIMEOUT = 10
NO_LIBRARY = 12
FUNCTION_NOT_FOUND = 13
LOST = 15
NEEDS_RESET = 16
UNKNOWN = 999
# Codes of our own: the binding lacks the function, or has no answer that can be used.
NOT_BOUND, NO_ANSWER = -1, -2
TRANSIENT = frozenset({TIMEOUT, UNKNOWN})
ABSENT = frozenset({NOT_SUPPORTED, FUNCTION_NOT_FOUND, NOT_BOUND})
# With these a board cannot be used for anything.
_CLOSED = frozenset({NO_PERMISSION, LOST, NEEDS_RESET})
# What the driver answers where a value is not available (nvml.h: NVML_VALUE_NOT_AVAILABLE), in both widths.
_NOT_AVAILABLE = frozenset({2**32 - 1, 2**64 - 1})

_REASONS = {
    UNINITIALIZED: "the library was shut down",
    NOT_SUPPORTED: "not supported",
    NO_PERMISSION: "insufficient permissions",
    6: "not found",
    9: NO_DRIVER,
    TIMEOUT: "no answer in time",
    NO_LIBRARY: NO_DRIVER,
    FUNCTION_NOT_FOUND: "not supported by this driver",
    LOST: "the GPU is lost",
    NEEDS_RESET: "the GPU needs a reset",
    17: "blocked by the operating system",
    18: "driver and library versions differ",
    UNKNOWN: "an unknown error",
    NOT_BOUND: "the installed pynvml has no function for it",
    NO_ANSWER: "the installed pynvml gives no answer that can be used",
}
_HINTS = {
    NO_PERMISSION: "add this user to the group of /dev/nvidia*, or start the container with docker run --gpus all",
    17: "start the container with docker run --gpus all",
    18: "reboot after a driver update, or reload the driver: sudo rmmod nvidia_uvm nvidia && sudo modprobe nvidia",
}


class Nvml(Protocol):
    """What every binding ``pynvml`` has; its other functions are called by name, for some bindings lack some."""

    # The class of its exceptions, whose `value` is the code.
    NVMLError: type[Exception]

    def nvmlInit(self) -> object: ...
    def nvmlShutdown(self) -> object: ...
    def nvmlDeviceGetCount(self) -> int: ...
    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Any: ...


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
        MeterUnavailable: Where it is not installed or cannot be used, or where there is no driver for it.
    """
    require_driver()
    return cast(Nvml, nvml_binding.load())


def initialise(nvml: Nvml) -> None:
    """Initialise the library; the caller has to call ``nvmlShutdown`` once.

    Raises:
        MeterUnavailable: Where there is no driver, or none that can be used.
    """
    code = require(nvml, "nvmlInit")[1]
    if code is not None:
        raise MeterUnavailable(reason(code), hint(code))


def hint(code: int) -> str | None:
    """Return what the user can do about a code; ``None`` where nothing is known to help."""
    return nvml_binding.command() if code in (NOT_BOUND, NO_ANSWER) else _HINTS.get(code)


def reason(code: int) -> str:
    """Return the meaning of a return code, as one clause."""
    return _REASONS.get(code, f"NVML error {code}")


def ask(nvml: Nvml, function: str, *arguments: Any) -> tuple[Any, None] | tuple[None, int]:
    """Return the result of a function of NVML, or the code that it failed with; retry once on a transient one.

    A binding may fail in ways of its own: a text that it cannot decode, an argument that it refuses, a function that it
    lacks. One answer that is missing costs no other.
    """
    if getattr(nvml, function, None) is None:
        return None, NOT_BOUND
    with contextlib.suppress(Exception):
        return require(nvml, function, *arguments)
    return None, NO_ANSWER


def require(nvml: Nvml, function: str, *arguments: Any) -> tuple[Any, None] | tuple[None, int]:
    """Do as :func:`ask`, for what nothing can be measured without: any exception that is not NVML's is raised."""
    code = UNKNOWN
    for _ in range(2):
        try:
            return getattr(nvml, function)(*arguments), None
        except nvml.NVMLError as error:
            code = error_code(error)
        if code not in TRANSIENT:
            break
    return None, code


def error_code(error: Exception) -> int:
    """Return the code of an exception of the binding."""
    value = getattr(error, "value", UNKNOWN)
    return value if isinstance(value, int) else UNKNOWN


def whole(answer: object) -> int | None:
    """Return an answer that is a whole number from 0; ``None`` for any other."""
    return answer if isinstance(answer, int) and not isinstance(answer, bool) and answer >= 0 else None


def text(answer: object) -> str | None:
    """Return an answer that is a readable text, which older bindings give as bytes; ``None`` for any other."""
    if isinstance(answer, bytes):
        answer = answer.decode("utf-8", "replace")
    if not isinstance(answer, str):
        return None
    shown = answer.partition("\0")[0].strip()
    return shown if shown and shown.isprintable() and "\ufffd" not in shown else None


def available(answer: object) -> int | None:
    """Return an answer that is a value of the driver; ``None`` where it is its sign for none, or no number."""
    value = whole(answer)
    return None if value in _NOT_AVAILABLE else value


def list_gpus(nvml: Nvml) -> Listing:
    """List the boards of an initialised library and their multi-instance slices.

    Raises:
        MeterUnavailable: Where there is none that this process may use.
    """
    answer, code = require(nvml, "nvmlDeviceGetCount")
    count = whole(answer)
    if count is None:
        raise MeterUnavailable(reason(code or NO_ANSWER), hint(code or NO_ANSWER))
    if count == 0:
        raise MeterUnavailable("the driver lists no GPU")
    gpus: list[Gpu] = []
    handles: dict[str, Any] = {}
    unreadable: dict[int, int] = {}
    for index in range(count):
        handle, code = ask(nvml, "nvmlDeviceGetHandleByIndex", index)
        uuid = None
        if code is None:
            uuid, code = _uuid(nvml, handle)
        if code is not None and (code in _CLOSED or handle is None):
            unreadable[index] = code
            continue
        # A channel needs a name of its own.
        if uuid is None or uuid in handles:
            uuid = f"index-{index}"
        handles[uuid] = handle
        name = text(ask(nvml, "nvmlDeviceGetName", handle)[0]) or UNNAMED
        slices = _mig_slices(nvml, handle)
        gpus.append(Gpu(index, uuid, name, slices, _mig_devices(nvml, handle, slices, handles)))
    if not gpus:
        index, code = next(iter(unreadable.items()))
        raise MeterUnavailable(f"GPU {index}: {reason(code)}", hint(code))
    return Listing(tuple(gpus), handles, unreadable)


def handle_of(nvml: Nvml, gpu: Gpu) -> Any | None:
    """Return the handle of a board that was listed before; ``None`` where it is not found."""
    # Older bindings take the id as bytes.
    for uuid in (gpu.uuid, gpu.uuid.encode()):
        handle, code = ask(nvml, "nvmlDeviceGetHandleByUUID", uuid)
        if code is None:
            return handle
        if code not in (NO_ANSWER, NOT_BOUND):
            break
    return ask(nvml, "nvmlDeviceGetHandleByIndex", gpu.index)[0]


def processes(nvml: Nvml, handle: Any) -> frozenset[int]:
    """Return the ids of the processes that compute on a board or slice; in a container they are the host's ids."""
    rows, code = ask(nvml, "nvmlDeviceGetComputeRunningProcesses", handle)
    if code == FUNCTION_NOT_FOUND:  # drivers before 510 have the second version only
        rows, _ = ask(nvml, "nvmlDeviceGetComputeRunningProcesses_v2", handle)
    listed = rows if isinstance(rows, list | tuple) else ()
    return frozenset(pid for row in listed if (pid := whole(getattr(row, "pid", None))) is not None)


def parts_in_use(nvml: Nvml, listing: Listing, pids: Collection[int]) -> tuple[Part, ...]:
    """Return the boards and slices on which one of these processes computes."""
    found: list[Part] = []
    for gpu in listing.gpus:
        for part in [Part(gpu, mig) for mig in gpu.mig] or [Part(gpu)]:
            if not processes(nvml, listing.handles[part.uuid]).isdisjoint(pids):
                found.append(part)
    return tuple(found)


def _uuid(nvml: Nvml, handle: Any) -> tuple[str | None, int | None]:
    answer, code = ask(nvml, "nvmlDeviceGetUUID", handle)
    return text(answer), code


def _mig_slices(nvml: Nvml, handle: Any) -> int:
    """Return the compute slices of a board in multi-instance mode; 0 where that mode is off."""
    mode, _ = ask(nvml, "nvmlDeviceGetMigMode", handle)
    if not isinstance(mode, list | tuple) or not mode or not whole(mode[0]):
        return 0
    return whole(ask(nvml, "nvmlDeviceGetMaxMigDeviceCount", handle)[0]) or 0


def _mig_devices(nvml: Nvml, board: Any, slices: int, handles: dict[str, Any]) -> tuple[MigDevice, ...]:
    found: list[MigDevice] = []
    for index in range(slices):
        handle, code = ask(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", board, index)
        if code is not None:  # the numbers have holes
            continue
        uuid, _ = _uuid(nvml, handle)
        gpu_instance = whole(ask(nvml, "nvmlDeviceGetGpuInstanceId", handle)[0])
        compute_instance = whole(ask(nvml, "nvmlDeviceGetComputeInstanceId", handle)[0])
        if uuid is None or uuid in handles or gpu_instance is None or compute_instance is None:
            continue
        handles[uuid] = handle
        attributes, _ = ask(nvml, "nvmlDeviceGetAttributes", handle)
        share = whole(getattr(attributes, "computeInstanceSliceCount", None)) or None
        found.append(MigDevice(uuid, gpu_instance, compute_instance, share))
    return tuple(found)
