"""A fake platform: a machine with the meters that a test gives it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.meters.discovery import Discovery, Source
from eco2ai_callbacks.meters.meter import Meter
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.testing.hosts import CLOUD_VM


def fake_platform(
    clock: Callable[[], float],
    *meters: Meter,
    host: Host = CLOUD_VM,
    environ: Mapping[str, str] | None = None,
    registry: Path | None = None,
    sources: Sequence[Source] | None = None,
    not_covered: Sequence[str] = (),
    **fields: Any,
) -> Platform:
    """Return a platform for a :class:`~eco2ai_callbacks.Tracker` that reads these meters and nothing else.

    Args:
        clock: Returns monotonic seconds; a :class:`~eco2ai_callbacks.testing.Clock` that the test moves.
        meters: What is read.
        host: The machine.
        environ: The environment; empty by default.
        registry: Folder of the running trackers.
        sources: What the ``start`` record names as sources; by default one for each meter.
        not_covered: Hardware that nothing reads.
        fields: Other fields of the platform; ``discover`` replaces the meters. By default no phase uses CPU time,
            the CPU time of threads is not known, and ``sleep`` moves the clock.

    Example:
        >>> from eco2ai_callbacks import Tracker
        >>> from eco2ai_callbacks.testing import Clock, FakeMeter
        >>> clock = Clock()
        >>> meter = FakeMeter(clock, {"cpu": 10.0, "ram": 2.0})
        >>> run = Tracker(platform=fake_platform(clock, meter), region="FR", log_file=None, console=False).start()
        >>> clock.advance(3.0)
        >>> run.stop().total_j
        36.0
        >>> meter.closed
        True
    """
    found = Discovery(
        meters=meters,
        sources=tuple(map(source_of, meters) if sources is None else sources),
        not_covered=tuple(not_covered),
    )
    return Platform(
        **{
            "clock": clock,
            "host": lambda: host,
            "discover": lambda *_: found,
            "environ": {} if environ is None else environ,
            "registry": registry,
            "wall_ns": lambda: round(clock() * 1e9),
            "cpu_ns": lambda: 0,
            "sleep": getattr(clock, "advance", time.sleep),
            "thread_clock": lambda: None,
            **fields,
        }
    )


def source_of(meter: Meter) -> Source:
    """Return the source that a meter is, as discovery would name it."""
    return Source(
        name=meter.name,
        status="used",
        reason="made up",
        methods={channel: method.name for channel, method in meter.methods.items()},
        covers=tuple(sorted(meter.covers)),
        devices=tuple(meter.devices),
        measured=tuple(sorted({method.name for method in meter.methods.values() if method.measured})),
    )
