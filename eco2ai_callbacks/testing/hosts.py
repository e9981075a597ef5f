"""Hosts for tests: a desktop and a virtual machine."""

from __future__ import annotations

import dataclasses

from eco2ai_callbacks.host.machine import Host

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
"""A virtual machine of two threads; the name of its processor identifies no model."""
