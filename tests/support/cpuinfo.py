"""Texts of ``/proc/cpuinfo`` as machines really give them, shortened to two processors and a few flags.

Written by hand after dumps that users publish; the numbers of ARM's cores are those of its reference manuals.
"""

from __future__ import annotations


def x86(vendor: str, family: int, model: int, name: str, *, guest: bool, count: int = 2) -> str:
    """Return the text of an x86 machine."""
    flags = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov sse sse2 ht syscall nx lm constant_tsc"
    return "\n".join(
        f"""processor\t: {number}
vendor_id\t: {vendor}
cpu family\t: {family}
model\t\t: {model}
model name\t: {name}
stepping\t: 1
microcode\t: 0xffffffff
cpu MHz\t\t: 2599.998
cache size\t: 512 KB
physical id\t: 0
siblings\t: {count}
core id\t\t: {number}
cpu cores\t: {count}
flags\t\t: {flags}{" hypervisor" if guest else ""}
bogomips\t: 5199.99
address sizes\t: 46 bits physical, 48 bits virtual
"""
        for number in range(count)
    )


def arm(implementer: int, *parts: int, variant: int = 1, tail: str = "") -> str:
    """Return the text of an ARM machine, with one core of each part."""
    cores = (
        f"""processor\t: {number}
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp ssbs
CPU implementer\t: {implementer:#04x}
CPU architecture: 8
CPU variant\t: {variant:#x}
CPU part\t: {part:#05x}
CPU revision\t: 1
"""
        for number, part in enumerate(parts)
    )
    return "\n".join(cores) + tail


RASPBERRY_PI_4 = arm(
    0x41, 0xD08, 0xD08, tail="\nHardware\t: BCM2835\nRevision\t: c03114\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
)
RASPBERRY_PI_5 = arm(0x41, 0xD0B, 0xD0B, tail="\nRevision\t: c04170\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n")
