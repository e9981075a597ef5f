"""Fakes of Windows's energy meters: of the devices, and of the libraries that they are asked through."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping, Sequence

from eco2ai_callbacks.meters.cpu import emi

# Picowatt-hours of a joule.
PWH = 1e12 / 3600.0


def described(names: Sequence[str], version: int = 2, unit: int = 0) -> bytes:
    """Return what a device says of its channels, in the form of the header ``emi.h``."""
    texts = [f"{name}\0".encode("utf-16-le") for name in names]
    maker, model = "Maker".encode("utf-16-le").ljust(32, b"\0"), "Model".encode("utf-16-le").ljust(32, b"\0")
    if version == 1:
        return struct.pack("<i32s32sHH", unit, maker, model, 1, len(texts[0])) + texts[0]
    channels = b"".join(struct.pack("<iH", unit, len(text)) + text for text in texts)
    return struct.pack("<32s32sHH", maker, model, 1, len(texts)) + channels


class FakeEmi:
    """Devices with channels, in joules.

    Args:
        devices: The joules of each channel by its name, for each device.
        version: The interface's version.
    """

    def __init__(self, *devices: Mapping[str, float], version: int = 2) -> None:
        self.devices = {f"\\\\?\\emi#{number}": dict(channels) for number, channels in enumerate(devices)}
        self.version = version
        self.unit = 0
        self.asked: list[tuple[str, int]] = []
        self.answers: dict[int, bytes | OSError] = {}
        self.refused: OSError | None = None

    def paths(self) -> Sequence[str]:
        """List the devices."""
        if self.refused is not None:
            raise self.refused
        return list(self.devices)

    def ask(self, path: str, request: int, size: int) -> bytes:
        """Answer a request."""
        self.asked.append((path, request))
        scripted = self.answers.get(request)
        if isinstance(scripted, OSError):
            raise scripted
        if scripted is not None:
            return scripted[:size]
        if path not in self.devices:
            raise FileNotFoundError(2, "No such file or directory")
        channels = self.devices[path]
        metadata = described(list(channels), self.version, self.unit)
        return {
            emi.GET_VERSION: struct.pack("<H", self.version),
            emi.GET_METADATA_SIZE: struct.pack("<L", len(metadata)),
            emi.GET_METADATA: metadata,
            emi.GET_MEASUREMENT: b"".join(struct.pack("<QQ", round(j * PWH), 7) for j in channels.values()),
        }[request][:size]

    def set(self, channel: str, joules: float) -> None:
        """Set what a channel has counted."""
        for channels in self.devices.values():
            if channel in channels:
                channels[channel] = joules


class FakeWindows:
    """The functions of ``cfgmgr32`` and ``kernel32`` that list and ask devices, with C's calling of them."""

    def __init__(self, devices: FakeEmi) -> None:
        word, pointer = ctypes.c_uint32, ctypes.c_void_p
        self.devices = devices
        self.open: list[str] = []
        self.codes: list[int] = []
        self.refuse = self.fail = False
        self.refuse_list = 0
        self.classes: list[bytes] = []
        wide = [ctypes.c_wchar_p, word, word, pointer, word, word, pointer]
        self.CM_Get_Device_Interface_List_SizeW = ctypes.CFUNCTYPE(word, pointer, pointer, pointer, word)(self._size)
        self.CM_Get_Device_Interface_ListW = ctypes.CFUNCTYPE(word, pointer, pointer, pointer, word, word)(self._list)
        self.CreateFileW = ctypes.CFUNCTYPE(pointer, *wide)(self._create)
        self.DeviceIoControl = ctypes.CFUNCTYPE(
            ctypes.c_int, pointer, word, pointer, word, pointer, word, pointer, pointer
        )(self._control)
        self.CloseHandle = ctypes.CFUNCTYPE(ctypes.c_int, pointer)(self._close)

    @property
    def _text(self) -> bytes:
        return ("".join(f"{path}\0" for path in self.devices.devices) + "\0").encode("utf-16-le")

    def _size(self, length: int, kind: int, _device: int, flags: int) -> int:
        self.classes.append(ctypes.string_at(kind, 16))
        ctypes.c_uint32.from_address(length).value = len(self._text) // 2
        return self.refuse_list or flags

    def _list(self, kind: int, _device: int, buffer: int, length: int, flags: int) -> int:
        self.classes.append(ctypes.string_at(kind, 16))
        code = self.codes.pop(0) if self.codes else flags
        if not code:
            ctypes.memmove(buffer, self._text, min(2 * length, len(self._text)))
        return code

    def _create(self, path: str, access: int, share: int, _s: int, how: int, flags: int, _t: int) -> int:
        if self.refuse or (access, share, how, flags) != (1 << 31, 3, 3, 0x80):
            return -1
        self.open.append(path)
        # As wide as an address is: a binding that takes it for an int loses the upper half.
        return 0x7FFF00000000 + self.open.index(path)

    def _control(self, handle: int, request: int, *rest: int) -> int:
        _, _, buffer, size, returned, _ = rest
        if self.fail:
            return 0
        answer = self.devices.ask(self.open[handle - 0x7FFF00000000], request, size)
        ctypes.memmove(buffer, answer, len(answer))
        ctypes.c_uint32.from_address(returned).value = len(answer)
        return 1

    def _close(self, handle: int) -> int:
        del self.open[handle - 0x7FFF00000000]
        return 1
