"""Fakes for those who test a meter, a sink or a training with this package: nothing of it is used in measuring."""

from __future__ import annotations

import dataclasses

from eco2ai_callbacks.host import Host


class Clock:
    """A monotonic clock that moves only when it is told to.

    Example:
        >>> clock = Clock()
        >>> clock.advance(2.5)
        >>> clock()
        2.5
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self.now += seconds


BARE_METAL = Host(
    boot_id="00000000-0000-0000-0000-000000000001",
    system="Linux",
    virtual=False,
    cpu_name="Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz",
    cpu_vendor="GenuineIntel",
    threads=12,
    sockets=1,
    allowed_threads=12.0,
    cpu_family=6,
    cpu_number=158,
)
"""A desktop without a hypervisor."""

CLOUD_VM = dataclasses.replace(
    BARE_METAL,
    boot_id="00000000-0000-0000-0000-000000000002",
    virtual=True,
    cpu_name="AMD EPYC",
    cpu_vendor="AuthenticAMD",
    threads=2,
    allowed_threads=2.0,
    cpu_family=25,
    cpu_number=1,
    vendor="Amazon EC2",
)
"""A two-thread virtual machine whose processor's name identifies no model."""
