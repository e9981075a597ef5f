"""Who else is on the devices of a run, and whether it is still running, by the registry of this host's trackers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eco2ai_callbacks.host.registry import Entry, Registry, ancestry
from eco2ai_callbacks.watching.state import RunState


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What the registry shows of a run.

    Args:
        here: Whether the run is on this host.
        pids: Its processes.
        sharing: Other runs with a process that measures one of its devices.
    """

    here: bool = False
    pids: tuple[int, ...] = ()
    sharing: tuple[tuple[str, int], ...] = ()


def neighbours_of(run: RunState, registry: Registry, host: str) -> Neighbours:
    """Return what the registry shows of a run; nothing where it cannot be read.

    Args:
        run: The run.
        registry: The running trackers of this host.
        host: Hash of this host's boot id.
    """
    try:
        living = registry.living()
    except OSError:
        return Neighbours()
    own = [entry for entry in living if entry.run == run.id]
    devices = {device for entry in own for device in entry.devices}
    around = {*ancestry(living, run.id)}
    others = [
        entry
        for entry in living
        if entry.run not in around and not devices.isdisjoint(entry.devices) and not _inside(living, entry, run.id)
    ]
    return Neighbours(
        run.host == host, tuple(entry.pid for entry in own), tuple((entry.run, entry.pid) for entry in others)
    )


def _inside(living: Sequence[Entry], entry: Entry, run: str) -> bool:
    return run in ancestry(living, entry.run)
