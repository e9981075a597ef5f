"""A fake meter: constant power by a clock that the test moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.usage import Method, component_of

CONSTANT = Method("constant", 0.9, 1.1, counter=True)
"""The method of a :class:`FakeMeter`'s channels, where a test names no other."""


class FakeMeter:
    """A meter whose channels draw constant power.

    Every attribute may be changed between two reads. ``reads`` counts the reads, and ``closed`` is whether
    :meth:`close` was called. A ``fault`` makes each read raise it.

    Args:
        clock: Returns monotonic seconds; a :class:`Clock` that the test moves.
        watts: The power of each channel.
        method: How the joules are known, for all channels or by channel.
        name: The source, as records and failures name it.
        max_gap_s: The longest that it may go unread, in seconds.
        covers: The components that its figures include; by default those of its channels.
        on_read: Called with the joules of each read; the read returns its result. A hook that moves the clock makes
            a slow meter, one that waits a hanging meter.
        fault: What each read raises.
        devices: The devices that it reads; by default one NVIDIA GPU for each channel ``gpu:<uuid>``.

    Example:
        >>> from eco2ai_callbacks.testing import Clock
        >>> clock = Clock()
        >>> meter = FakeMeter(clock, {"cpu": 10.0, "gpu:GPU-a": 100.0})
        >>> clock.advance(2.0)
        >>> meter.read()
        {'cpu': 20.0, 'gpu:GPU-a': 200.0}
        >>> sorted(meter.covers)
        ['cpu', 'gpu']
        >>> meter.fault = OSError("gone")
        >>> meter.read()
        Traceback (most recent call last):
        OSError: gone
    """

    def __init__(
        self,
        clock: Callable[[], float],
        watts: Mapping[str, float],
        *,
        method: Method | Mapping[str, Method] = CONSTANT,
        name: str = "constant",
        max_gap_s: float = math.inf,
        covers: frozenset[str] | None = None,
        on_read: Callable[[dict[str, float]], Any] | None = None,
        fault: BaseException | None = None,
        devices: Sequence[Device] | None = None,
    ) -> None:
        self.clock = clock
        self.watts = watts
        self.methods: Mapping[str, Method] = dict.fromkeys(watts, method) if isinstance(method, Method) else method
        self.name = name
        self.max_gap_s = max_gap_s
        self.covers: frozenset[str] = frozenset(map(component_of, watts)) if covers is None else covers
        self.on_read = on_read
        self.fault = fault
        self.failures: tuple[str, ...] = ()
        self.devices: tuple[Device, ...] = _devices(watts) if devices is None else tuple(devices)
        self.reads: int = 0
        self.closed: bool = False
        self._opened = clock()

    @property
    def joules(self) -> dict[str, float]:
        """The joules of each channel since the meter was opened, without a read."""
        seconds = self.clock() - self._opened
        return {channel: watts * seconds for channel, watts in self.watts.items()}

    def read(self) -> Any:
        """Return the joules of each channel since the meter was opened, or what ``on_read`` makes of them."""
        self.reads += 1
        if self.fault is not None:
            raise self.fault
        return self.joules if self.on_read is None else self.on_read(self.joules)

    def close(self) -> None:
        """Record that the meter was closed."""
        self.closed = True


def _devices(channels: Iterable[str]) -> tuple[Device, ...]:
    uuids = [channel.removeprefix("gpu:") for channel in channels if channel.startswith("gpu:")]
    return tuple(Device("nvidia", index, uuid, "NVIDIA L4") for index, uuid in enumerate(uuids))
