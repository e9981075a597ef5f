"""Find the processors' counters in the Energy Meter Interface (EMI) of Windows, which needs no rights of root."""

from __future__ import annotations

import ctypes
import re
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.cpu.powercap import DEFAULT_CAP_W, DRAM, PACKAGE, Zone, describe

NAME = "EMI"
# The interface's class and its requests. (Windows SDK: emi.h; Microsoft: Energy Meter Interface)
_CLASS = bytes.fromhex("4483bd45d67ecf49a440c276c933b053")  # {45BD8344-7ED6-49cf-A440-C276C933B053}, as in memory
GET_VERSION, GET_METADATA_SIZE, GET_METADATA, GET_MEASUREMENT = 0x226000, 0x226004, 0x226008, 0x22600C
# Unit of energy, maker, model, revision and length of the name, before the name; of the second version, maker, model,
# revision and number of channels, before the channels with unit and length of the name each. (emi.h)
_ONE, _MANY, _CHANNEL = struct.Struct("<i32s32sHH"), struct.Struct("<32s32sHH"), struct.Struct("<iH")
# Energy and time of a channel, in pWh and 100 ns. (emi.h: EMI_CHANNEL_MEASUREMENT_DATA)
_MEASURED = struct.Struct("<QQ")
_PICOWATT_HOURS = 0
# 1 pWh is 3.6 nJ, and so 36 / 10000 µJ.
_UJ_PER_10000_PWH = 36
# The driver adds up the processor's 32 bits in 64.
_RANGE_UJ = 2**62
# No metadata are longer: a machine with a device for each core has a channel of some 50 bytes in each.
_LONGEST = 65536
# The channels that are whole packages and their memory: of Windows's own driver for processors, and of AMD's for
# laptops, whose sockets have no numbers. Cores, PP0, PP1, VDDCR_* and Apu are parts of a package, each on some machines
# in a device of its own. (Chromium: components/power_metrics/energy_metrics_provider_win.cc; mlco2/codecarbon, pull
# request 1263)
_RAPL = re.compile(r"RAPL_Package(\d+)_(PKG|DRAM)", re.IGNORECASE)
_SOCKET = re.compile(r"Current Socket (Energy|Power)", re.IGNORECASE)
# Windows 11's own driver shows them. (green-coding-solutions/green-metrics-tool, pull request 1801)
_HINT = "update Windows (from 11 on it shows the processor's counters), and install the chipset driver"


class EmiDevices(Protocol):
    """What is asked of the system's energy meters."""

    def paths(self) -> Sequence[str]:
        """Return the paths of the devices that are present; raises ``OSError`` where they cannot be listed."""

    def ask(self, path: str, request: int, size: int) -> bytes:
        """Return a device's answer to a request; raises ``OSError`` where there is none.

        Args:
            path: The device.
            request: The control code.
            size: The longest answer.
        """


@dataclass(frozen=True, slots=True)
class EmiZone(Zone):
    """One channel of a device.

    Args:
        devices: What is asked.
        device: The device's path.
        channel: The channel's number.
        channels: How many the device has.
    """

    devices: Any = None
    device: str = ""
    channel: int = 0
    channels: int = 1

    def read_uj(self) -> int:
        """Return the counter's value; raises ``OSError`` or ``ValueError`` where there is no valid one."""
        answer = self.devices.ask(self.device, GET_MEASUREMENT, _MEASURED.size * self.channels)
        if len(answer) < _MEASURED.size * self.channels:
            raise ValueError("the answer is too short")
        energy_pwh, _ = _MEASURED.unpack_from(answer, _MEASURED.size * self.channel)
        return int(energy_pwh) * _UJ_PER_10000_PWH // 10000

    def unreadable(self, _zones: Sequence[Zone], error: OSError | ValueError) -> MeterUnavailable:
        """Return the exception for a machine none of whose packages can be read."""
        return MeterUnavailable(f"unreadable: {self.label}: {describe(error)}", _HINT)


def locate(devices: EmiDevices) -> tuple[Zone, ...]:
    """Return the counters of packages and memory, readable or not.

    Args:
        devices: The system's energy meters.

    Raises:
        MeterUnavailable: Where there are none.
    """
    try:
        paths = devices.paths()
    except OSError as error:
        raise MeterUnavailable(f"unreadable: the energy meters cannot be listed: {describe(error)}") from None
    if not paths:
        raise MeterUnavailable("absent: Windows shows no energy meter", _HINT)
    rapl: dict[tuple[int, str], Zone] = {}
    sockets: dict[tuple[int, str], Zone] = {}
    others: list[str] = []
    refused: list[str] = []
    for path in paths:
        try:
            names = channels(devices, path)
        except (OSError, ValueError) as error:
            refused.append(describe(error))
            continue
        for number, name in enumerate(names):
            here = Path(path), _RANGE_UJ, DEFAULT_CAP_W, devices, path, number, len(names)
            if match := _RAPL.fullmatch(name):
                kind = PACKAGE if match[2].upper() == "PKG" else DRAM
                rapl.setdefault((int(match[1]), kind), EmiZone(int(match[1]), None, kind, *here))
            elif _SOCKET.fullmatch(name):
                sockets[len(sockets), PACKAGE] = EmiZone(len(sockets), None, PACKAGE, *here)
            else:
                others.append(name)
    # Two drivers may show one processor.
    found = rapl if any(kind == PACKAGE for _, kind in rapl) else rapl | sockets
    if any(kind == PACKAGE for _, kind in found):
        return tuple(found[key] for key in sorted(found, key=lambda key: (key[0], key[1] == DRAM)))
    if refused and not others:
        raise MeterUnavailable(f"unreadable: {refused[0]}", _HINT)
    raise MeterUnavailable(f"absent: no channel is a whole processor: {', '.join(dict.fromkeys(others))}", _HINT)


def channels(devices: EmiDevices, path: str) -> tuple[str, ...]:
    """Return the names of a device's channels, in their order; those in another unit than energy's are unnamed.

    Args:
        devices: The system's energy meters.
        path: The device.

    Raises:
        OSError: Where it does not answer.
        ValueError: Where its answer is not of a known form.
    """
    (version,) = _unpacked("<H", devices.ask(path, GET_VERSION, 2))
    (size,) = _unpacked("<L", devices.ask(path, GET_METADATA_SIZE, 4))
    if version not in (1, 2) or size > _LONGEST:
        raise ValueError(f"version {version} of the interface is not known")
    metadata = devices.ask(path, GET_METADATA, size)
    try:
        if version == 1:
            unit, _, _, _, length = _ONE.unpack_from(metadata)
            return (_name(metadata, _ONE.size, length, unit),)
        _, _, _, count = _MANY.unpack_from(metadata)
        names: list[str] = []
        at = _MANY.size
        for _ in range(count):
            unit, length = _CHANNEL.unpack_from(metadata, at)
            names.append(_name(metadata, at + _CHANNEL.size, length, unit))
            at += _CHANNEL.size + length
    except struct.error:
        raise ValueError("the description of its channels is too short") from None
    return tuple(names)


def _unpacked(form: str, answer: bytes) -> tuple[Any, ...]:
    if len(answer) < struct.calcsize(form):
        raise ValueError("the answer is too short")
    return struct.unpack_from(form, answer)


def _name(metadata: bytes, at: int, length: int, unit: int) -> str:
    if unit != _PICOWATT_HOURS:
        return f"a channel in unit {unit}"
    return metadata[at : at + length].decode("utf-16-le", "replace").partition("\0")[0]


class WindowsDevices:
    """The energy meters of this system, through Windows's own libraries.

    Args:
        manager: ``cfgmgr32``, or a replacement.
        kernel: ``kernel32``, or a replacement.
        failure: Returns the exception for the call that has failed last; Windows's own by default.
    """

    # From the Windows SDK: cfgmgr32.h, winnt.h, fileapi.h.
    _OK, _TOO_SMALL, _PRESENT = 0, 0x1A, 0
    _READ, _SHARED, _EXISTING, _NORMAL = 0x80000000, 3, 3, 0x80
    _NO_HANDLE = ctypes.c_void_p(-1).value

    def __init__(self, manager: Any = None, kernel: Any = None, failure: Callable[[], OSError] | None = None) -> None:
        self._manager = manager or _library("cfgmgr32")
        self._kernel = kernel or _library("kernel32")
        self._failure = failure or _last_failure
        word, pointer, handle = ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p
        self._manager.CM_Get_Device_Interface_List_SizeW.argtypes = [pointer, pointer, pointer, word]
        self._manager.CM_Get_Device_Interface_ListW.argtypes = [pointer, pointer, pointer, word, word]
        self._kernel.CreateFileW.argtypes = [ctypes.c_wchar_p, word, word, pointer, word, word, handle]
        self._kernel.CreateFileW.restype = handle
        self._kernel.DeviceIoControl.argtypes = [handle, word, pointer, word, pointer, word, pointer, pointer]
        self._kernel.CloseHandle.argtypes = [handle]

    def paths(self) -> Sequence[str]:
        """Return the paths of the devices that are present; raises ``OSError`` where they cannot be listed."""
        length, code = ctypes.c_uint32(), self._TOO_SMALL
        for _ in range(3):  # a device may come between the two calls
            code = self._manager.CM_Get_Device_Interface_List_SizeW(ctypes.byref(length), _CLASS, None, self._PRESENT)
            if code != self._OK:
                break
            # UTF-16, where a wide character of C has four bytes on other systems.
            buffer = ctypes.create_string_buffer(2 * length.value)
            code = self._manager.CM_Get_Device_Interface_ListW(_CLASS, None, buffer, length.value, self._PRESENT)
            if code == self._OK:
                return [path for path in buffer.raw.decode("utf-16-le", "replace").split("\0") if path]
            if code != self._TOO_SMALL:
                break
        raise OSError(None, f"code {code} of the configuration manager")

    def ask(self, path: str, request: int, size: int) -> bytes:
        """Return a device's answer to a request; raises ``OSError`` where there is none."""
        handle = self._kernel.CreateFileW(path, self._READ, self._SHARED, None, self._EXISTING, self._NORMAL, None)
        if handle == self._NO_HANDLE:
            raise self._failure()
        try:
            buffer, returned = ctypes.create_string_buffer(max(1, size)), ctypes.c_uint32()
            done = self._kernel.DeviceIoControl(handle, request, None, 0, buffer, size, ctypes.byref(returned), None)
            if not done:
                raise self._failure()
            return buffer.raw[: min(size, returned.value)]
        finally:
            self._kernel.CloseHandle(handle)


def _library(name: str) -> Any:
    """Load one of Windows's libraries, so that the code of its last failure is kept; raises ``OSError`` elsewhere."""
    if sys.platform != "win32":
        raise OSError(None, f"{name} is a library of Windows")
    return ctypes.WinDLL(name, use_last_error=True)


def _last_failure() -> OSError:
    """Return the exception for the call that has failed last."""
    if sys.platform != "win32":
        return OSError(None, "not Windows")
    return ctypes.WinError(ctypes.get_last_error())
