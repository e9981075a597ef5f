"""From what a machine says of its processor to the row of the table that its energy is computed by."""

from __future__ import annotations

import ctypes
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import cpuinfo
import pytest
from fake_systems import FakeLibc, windows
from smbios_table import table as smbios_table

from eco2ai_callbacks.host.machine import Host, read_host
from eco2ai_callbacks.host.processor import Processor, linux_processor, other_processor
from eco2ai_callbacks.meters.cpu import table
from eco2ai_callbacks.meters.cpu.model import model_for


def host_of(base: Path, text: str, vendor: str = "", threads: int = 2) -> Host:
    """The Linux machine with this /proc/cpuinfo."""
    files = {
        "proc/stat": "cpu  1 2 3 4\n" + "".join(f"cpu{number} 1 2 3 4\n" for number in range(threads)),
        "proc/cpuinfo": text,
        "sys/class/dmi/id/sys_vendor": vendor,
    }
    for name, content in files.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(content)
    return read_host(base / "proc", base / "sys")


def family_of(host: Host | Processor) -> table.Family:
    if isinstance(host, Processor):
        return table.family(host.vendor, host.family, host.number, host.name)
    return table.family(host.cpu_vendor, host.cpu_family, host.cpu_number, host.cpu_name)


# --- guests and processors that no row names: watts per thread --------------------------------------------------------

INTEL, AMD = "GenuineIntel", "AuthenticAMD"
GUESTS = {
    "Azure HX": (cpuinfo.x86(AMD, 25, 17, "AMD EPYC 9V33X 96-Core Processor", guest=True), "EPYC 4th generation", 1.67),
    "Azure HBv5": (cpuinfo.x86(AMD, 25, 144, "AMD EPYC 9V64H", guest=True), "EPYC 4th generation", 1.67),
    "an EPYC to come": (cpuinfo.x86(AMD, 26, 200, "AMD EPYC A123 Processor", guest=True), "EPYC", 1.67),
    "a Threadripper to come": (
        cpuinfo.x86(AMD, 26, 200, "AMD Ryzen Threadripper PRO 9999WX", guest=True),
        "Threadripper",
        1.67,
    ),
    "EPYC for desktops": (
        cpuinfo.x86(AMD, 25, 97, "AMD EPYC 4564P 16-Core Processor", guest=True),
        "EPYC 4000",
        3.15,
    ),
    "Opteron": (cpuinfo.x86(AMD, 21, 2, "AMD Opteron(tm) Processor 6376", guest=True), "Opteron", 3.15),
    "QEMU's Opteron": (
        cpuinfo.x86(AMD, 15, 6, "AMD Opteron 23xx (Gen 3 Class Opteron)", guest=True),
        "AMD",
        1.67,
    ),
    "a Ryzen to come": (cpuinfo.x86(AMD, 26, 200, "AMD Ryzen 9 11950X", guest=True), "Ryzen", 3.15),
    "AWS m5": (
        cpuinfo.x86(INTEL, 6, 85, "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", guest=True),
        "Cascade Lake",
        3.97,
    ),
    "Google's Xeon": (
        cpuinfo.x86(INTEL, 6, 143, "Intel(R) Xeon(R) CPU @ 2.70GHz", guest=True),
        "Sapphire Rapids",
        3.98,
    ),
    "a Xeon to come": (cpuinfo.x86(INTEL, 19, 1, "Intel(R) Xeon(R) 7999P", guest=True), "Intel", 3.98),
    "Clearwater Forest": (
        cpuinfo.x86(INTEL, 6, 0xDD, "Intel(R) Xeon(R) 6990E+", guest=True),
        "Clearwater Forest",
        3.98,
    ),
    "a Core to come": (cpuinfo.x86(INTEL, 18, 1, "Intel(R) Core(TM) Ultra 9 499K", guest=True), "Core", 3.15),
    "Graviton2": (cpuinfo.arm(0x41, 0xD0C, 0xD0C, variant=3), "Graviton2", 1.69),
    "Altra": (cpuinfo.arm(0x41, 0xD0C, 0xD0C, variant=3), "Graviton2", 1.69),
    "Graviton3": (cpuinfo.arm(0x41, 0xD40, 0xD40), "Neoverse", 1.69),
    "Graviton4": (cpuinfo.arm(0x41, 0xD4F, 0xD4F, variant=0), "Neoverse", 1.69),
    "Graviton5": (cpuinfo.arm(0x41, 0xD84, 0xD84, variant=0), "Neoverse", 1.69),
    "Grace": (cpuinfo.arm(0x41, 0xD4F, 0xD4F, variant=0), "Neoverse", 1.69),
    "Axion": (cpuinfo.arm(0x41, 0xD4F, 0xD4F, variant=0), "Neoverse", 1.69),
    "Cobalt": (cpuinfo.arm(0x6D, 0xD49, 0xD49, variant=0), "Neoverse", 1.69),
    "Cobalt by ARM's number": (cpuinfo.arm(0x41, 0xD49, 0xD49, variant=0), "Neoverse", 1.69),
    "AmpereOne": (cpuinfo.arm(0xC0, 0xAC3, 0xAC3, variant=0), "Neoverse", 1.69),
    "Kunpeng": (cpuinfo.arm(0x48, 0xD01, 0xD01), "ARM server", 1.69),
    "A64FX": (cpuinfo.arm(0x46, 0x001, 0x001), "ARM server", 1.69),
    "Raspberry Pi 4": (cpuinfo.RASPBERRY_PI_4, "unknown", 3.15),
    "Raspberry Pi 5": (cpuinfo.RASPBERRY_PI_5, "unknown", 3.15),
    "Docker on a Mac": (cpuinfo.arm(0x61, 0x000, 0x000, variant=0), "unknown", 3.15),
}


@pytest.mark.parametrize("machine", GUESTS)
def test_a_machine_s_own_text_leads_to_its_generation(tmp_path: Path, machine: str) -> None:
    text, generation, watts = GUESTS[machine]
    host = host_of(tmp_path, text)
    found = family_of(host)
    assert (found.name, found.max_w) == (generation, watts)
    assert host.cpu_name


def test_a_guest_s_figures_are_those_of_its_generation(tmp_path: Path) -> None:
    model = model_for(host_of(tmp_path, GUESTS["Graviton3"][0], "Amazon EC2"))
    assert model.detail == "2 threads at 1.69 W busy and 0.47 W idle (Neoverse)"


# --- machines whose model a row names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "threads", "expected"),
    [
        (cpuinfo.x86(INTEL, 6, 158, "Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz", guest=False), 2, "Intel Core i7-8700"),
        (cpuinfo.x86(AMD, 25, 1, "AMD EPYC 7763 64-Core Processor", guest=False), 2, "AMD EPYC 7763"),
        (cpuinfo.arm(0x61, 0x022, 0x023, variant=1), 8, "Apple M1"),
        (cpuinfo.arm(0x61, 0x038, 0x039, variant=1), 24, "Apple M2 Ultra"),
    ],
    ids=["intel", "amd", "asahi m1", "asahi m2 ultra"],
)
def test_a_machine_s_own_text_leads_to_its_model(tmp_path: Path, text: str, threads: int, expected: str) -> None:
    found = table.lookup(host_of(tmp_path, text, threads=threads).cpu_name)
    assert found is not None
    assert found.name == expected


def spelled(name: str) -> str:
    """A model's name as its hardware spells it, with marks, cores and clock."""
    if name.startswith("Intel "):
        marked = re.sub(r"\b(Intel|Xeon|Core|Pentium|Celeron|Atom|Itanium)\b", r"\1(R)", name)
        return f"{marked} CPU @ 2.40GHz"
    if name.startswith("AMD "):
        return f"{name} 8-Core Processor               "
    return name


class Machines:
    """Machines with any processor: each system gives the name in its own way."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._sys, self._patch = base, monkeypatch
        monkeypatch.setattr(platform, "machine", lambda: "arm64")
        (base / "firmware/dmi/tables").mkdir(parents=True)

    def with_name(self, row: table.Cpu) -> Iterator[Processor]:
        """Yield what the systems of a processor of this row read."""
        maker, _, rest = row.name.partition(" ")
        if maker in ("Intel", "AMD", "Hygon"):
            yield linux_processor({"model name": spelled(row.name)}, 8, self._sys)
            self._patch.setitem(sys.modules, "winreg", windows(spelled(row.name), "", ""))
            yield other_processor("Windows")
        elif maker == "Apple":
            self._patch.setattr(ctypes, "CDLL", lambda _: FakeLibc({"machdep.cpu.brand_string": row.name}))
            yield other_processor("Darwin")
        elif maker == "Snapdragon":
            series, _, model = rest.rpartition(" ")
            x = f"Snapdragon(R) {series} - {model.replace('-', '')} - Qualcomm(R) Oryon(TM) CPU"
            self._patch.setitem(
                sys.modules, "winreg", windows(x if series else f"Snapdragon (TM) {rest} @ 2.2 GHz", "", "")
            )
            yield other_processor("Windows")
        elif maker == "Ampere":
            line, _, model = rest.rpartition(" ")
            yield self._by_firmware(f"Ampere(R) {line.replace('Altra', 'Altra(R)')} Processor", model, 80)
        elif maker == "NVIDIA":
            yield self._by_firmware("Grace A02", "900-2G530-0060-000", 144)

    def _by_firmware(self, version: str, part_number: str, threads: int) -> Processor:
        (self._sys / "firmware/dmi/tables/DMI").write_bytes(smbios_table(version, part_number))
        return linux_processor({"CPU implementer": "0x41", "CPU part": "0xd0c"}, threads, self._sys)


def test_each_row_is_reached_by_what_some_system_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(tmp_path, monkeypatch)
    names = [
        line.split("\t")[1]
        for line in table.TABLE.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert len(names) > 5000
    missed = []
    for name in names:
        row = table.lookup(name)
        assert row is not None
        read = list(machines.with_name(row))
        if not read or any(table.lookup(processor.name) != row for processor in read):
            missed.append((name, [processor.name for processor in read]))
    assert missed == []


def test_each_generation_is_reached_by_numbers_or_by_a_name() -> None:
    """Each name in the source of the families stands in a text above, or has numbers of its own."""
    reached = {table.family(vendor, family, number, "").name for vendor, family, number in numbers()}
    names = (
        "Intel Xeon Processor (Cooperlake)",
        "Intel Xeon Processor (Cascadelake)",
        "AMD EPYC 4564P 16-Core Processor",
        "AMD EPYC A123",
        "AMD Ryzen Threadripper",
        "AMD Opteron(tm) Processor 6376",
        "ARM Neoverse-N1",
        "ARM Neoverse-V2",
        "HiSilicon Kunpeng 920",
        "",
    )
    reached |= {table.family("AuthenticAMD" if "AMD" in name else "", 26, 200, name).name for name in names}
    written = set(re.findall(r'(?:_xeon|_epyc|_arm|_client|Family|_of_all)\(\s*"([^"]+)"', source_of_families()))
    assert written - reached == set()


def numbers() -> Iterator[tuple[str, int, int]]:
    for family in (6, 15, 21, 23, 24, 25, 26):
        for number in range(256):
            yield (INTEL if family == 6 else AMD), family, number


def source_of_families() -> str:
    return Path(table.__file__).read_text(encoding="utf-8")
