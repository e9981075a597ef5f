"""The processors and GPUs of this machine, printed as eco2AI prints them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.meters.discovery import MeterContext
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.settings import resolve


def available_devices(*, platform: Platform | None = None) -> None:
    """Print the processors and GPUs of this machine.

    Args:
        platform: The outside world; tests pass a fake.
    """
    all_available_cpu(platform=platform)
    all_available_gpu(platform=platform)


def all_available_cpu(*, platform: Platform | None = None) -> None:
    """Print the processors of this machine.

    Args:
        platform: The outside world; tests pass a fake.
    """
    host = (platform or Platform()).host()
    _show("cpu", {host.cpu_name: host.sockets} if host.cpu_name else {})


def all_available_gpu(*, platform: Platform | None = None) -> None:
    """Print the GPUs of this machine that can be measured.

    Args:
        platform: The outside world; tests pass a fake.
    """
    platform = platform or Platform()
    around = MeterContext(platform.host(), None, root=platform.root, environ=platform.variables, clock=platform.clock)
    found = platform.discover(resolve({"gpus": "all"}), around, Guard())
    for meter in found.meters:
        meter.close()
    devices = [device for meter in found.meters for device in meter.devices]
    boards = dict.fromkeys((device.vendor, device.index, device.name) for device in devices)
    _show("gpu", Counter(name for _, _, name in boards))


def _show(kind: str, counts: Mapping[str, int]) -> None:
    if not counts:
        print(f"There is no any available {kind} device(s)")
        return
    print(f"Seeable {kind} device(s):")
    for name, count in counts.items():
        print(f"        {name}: {count} device(s)")
