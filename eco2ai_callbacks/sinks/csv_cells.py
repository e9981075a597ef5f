"""The cells of a row in eco2AI's CSV, as eco2AI writes them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.cpu.table import lookup

# What eco2AI writes where there is no value.
NONE = "N/A"


def cpu_cell(host: Host, tdp_w: float | None = None) -> str:
    """Return name, packages and thermal design power of the processor: ``AMD EPYC 7763/2 device(s), TDP:280.0``.

    Args:
        host: The machine.
        tdp_w: Thermal design power of one processor, where a setting gives it; else that of the table.
    """
    if tdp_w is None:
        found = lookup(host.cpu_name)
        tdp_w = None if found is None else found.tdp_w
    return f"{host.cpu_name or NONE}/{host.sockets} device(s), TDP:{NONE if tdp_w is None else tdp_w}"


def gpu_cell(sources: Iterable[Mapping[str, Any]]) -> str:
    """Return model and number of the devices that are read: ``NVIDIA L4 2 device(s)``; `` 0 device(s)`` for none.

    Args:
        sources: The sources of energy figures, as a ``start`` record holds them.
    """
    devices = [device for source in sources if source["used"] for device in source.get("devices", ())]
    # Several parts of one board have its number.
    boards = dict.fromkeys((device["index"], device["name"]) for device in devices)
    models = Counter(name for _, name in boards)
    return ", ".join(f"{name} {count} device(s)" for name, count in models.items()) or " 0 device(s)"


def epoch_cell(epoch: int | None, metrics: Mapping[str, Any] | None) -> str:
    """Return an epoch with the values that were given for it: ``epoch: 3, loss: 0.5, ``.

    Args:
        epoch: Number of the epoch.
        metrics: The values by name.
    """
    if metrics is None:
        return f"epoch: {epoch}"
    return f"epoch: {epoch}, " + "".join(f"{name}: {value}, " for name, value in metrics.items())


def os_cell(system: str) -> str:
    """Return an operating system by eco2AI's name for it.

    Args:
        system: What Python calls it.
    """
    return "MacOS" if system == "Darwin" else system


def place_cell(intensity: Mapping[str, Any]) -> str:
    """Return a place as eco2AI spells one: ``FR``, ``US/California``; by its name where it has no such code.

    Args:
        intensity: The carbon intensity, as records hold it.
    """
    region, name = str(intensity.get("region") or ""), str(intensity.get("name") or "")
    if re.fullmatch("[A-Z]{2}", region):
        return region
    if re.fullmatch("[A-Z]{2}-[A-Z0-9]{1,3}", region):
        return f"{region[:2]}/{name}"
    return name or region or NONE
