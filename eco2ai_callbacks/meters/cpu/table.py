"""Look a processor's name up: TDP, cores and threads of a model, or watts per hardware thread of a family."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from eco2ai_callbacks.meters.cpu.designation import designation, unmarked

TABLE = Path(__file__).with_name("data") / "cpu.tsv"
"""The table of models; ``tools/cpu_table/build.py`` writes it."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """One processor model.

    Args:
        name: The model, without what systems add to it.
        tdp_w: The maker's base power of one package in watts (Intel's Processor Base Power, AMD's default TDP).
        cores: Physical cores of one package, where known.
        threads: Hardware threads of one package, where known.
        source: Where the figures come from.
        year: First year in which a source lists it: its release or, where only that is known, its first benchmark.
    """

    name: str
    tdp_w: float
    cores: int | None
    threads: int | None
    source: str
    year: int | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """A generation of processors, for those whose model is not known or of which only a part is used.

    Args:
        name: The generation; ``unknown`` where not even the maker is known.
        idle_w: Watts of the whole server at the plug per hardware thread, idle. Includes memory and fans.
        max_w: Watts of the whole server at the plug per hardware thread, at full load. Includes memory and fans.
        source: Where the figures come from.
    """

    name: str
    idle_w: float
    max_w: float
    source: str


def lookup(model_name: str, table: Path = TABLE) -> Cpu | None:
    """Return the model that a name identifies; ``None`` for a family, a virtual or an unknown processor.

    Only a whole designation matches, never a part of one and never the nearest.

    Args:
        model_name: The name as ``/proc/cpuinfo``, ``lscpu`` or Windows spells it.
        table: The table to search.

    Example:
        >>> lookup("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz").tdp_w
        120.0
        >>> lookup("Intel(R) Xeon(R) CPU @ 2.20GHz") is None
        True
    """
    key = designation(model_name)
    if not key:
        return None
    # One search through the file's bytes (sorted lines, the designation first) is faster than parsing it.
    content = table.read_bytes()
    mark = f"\n{key}\t".encode()
    start = content.find(mark)
    if start < 0:
        return None
    line = content[start + 1 : content.find(b"\n", start + 1)].decode()
    _, name, tdp_w, cores, threads, year, source = line.split("\t")
    return Cpu(name, float(tdp_w), _integer(cores), _integer(threads), source, _integer(year))


def _integer(text: str) -> int | None:
    return int(text) if text else None


_CCF = "Cloud Carbon Footprint, coefficients per vCPU from SPECpower"
_MEDIANS = "median of SPECpower servers of 2019 and later (ccf-coefficients)"

_SANDY_BRIDGE = Family("Sandy Bridge", 2.17, 8.58, _CCF)
_IVY_BRIDGE = Family("Ivy Bridge", 3.04, 8.25, _CCF)
_HASWELL = Family("Haswell", 1.0, 4.74, _CCF)
_BROADWELL = Family("Broadwell", 0.71, 3.69, _CCF)
_SKYLAKE = Family("Skylake", 0.65, 4.26, _CCF)
_CASCADE_LAKE = Family("Cascade Lake", 0.64, 3.97, _CCF)
_COFFEE_LAKE = Family("Coffee Lake", 1.14, 5.42, _CCF)
_EPYC_1 = Family("EPYC 1st generation", 0.82, 2.55, _CCF)
_EPYC_2 = Family("EPYC 2nd generation", 0.47, 1.69, _CCF)
_EPYC_3 = Family("EPYC 3rd generation", 0.45, 2.02, _CCF)
_GRAVITON_2 = Family("Graviton2", 0.47, 1.69, _CCF)
_UNKNOWN = Family("unknown", 0.64, 3.15, f"{_MEDIANS}, all makers")


def _xeon(name: str) -> Family:
    return Family(name, 0.78, 3.98, f"{_MEDIANS}, Xeon; none is published for this generation")


def _epyc(name: str) -> Family:
    return Family(name, 0.34, 1.67, f"{_MEDIANS}, EPYC; none is published for this generation")


def _arm(name: str) -> Family:
    return Family(name, _GRAVITON_2.idle_w, _GRAVITON_2.max_w, f"{_CCF}: Graviton2's, the only ARM server's")


def _client(name: str) -> Family:
    return _of_all(name, "desktops and laptops")


def _of_all(name: str, what: str) -> Family:
    return Family(name, _UNKNOWN.idle_w, _UNKNOWN.max_w, f"{_UNKNOWN.source}; none is published for {what}")


# Words in a name, as hypervisors and cores spell them. The first that is found counts. A pattern is
# compiled only where a name holds one of the texts before it, without which it cannot match.
_BY_WORD: tuple[tuple[str, str, Family], ...] = (
    ("sandy", r"sandy ?bridge", _SANDY_BRIDGE),
    ("ivy", r"ivy ?bridge", _IVY_BRIDGE),
    ("haswell", r"haswell", _HASWELL),
    ("broadwell", r"broadwell", _BROADWELL),
    ("cascade", r"cascade ?lake", _CASCADE_LAKE),
    ("cooper", r"cooper ?lake", _xeon("Cooper Lake")),
    ("xeon", r"xeon.*skylake", _SKYLAKE),
    ("ice", r"ice ?lake", _xeon("Ice Lake")),
    ("sapphire", r"sapphire ?rapids", _xeon("Sapphire Rapids")),
    ("emerald", r"emerald ?rapids", _xeon("Emerald Rapids")),
    ("granite", r"granite ?rapids", _xeon("Granite Rapids")),
    ("sierra", r"sierra ?forest", _xeon("Sierra Forest")),
    ("clearwater", r"clearwater ?forest", _xeon("Clearwater Forest")),
    ("epyc-rome", r"epyc-rome", _EPYC_2),
    ("epyc-milan", r"epyc-milan", _EPYC_3),
    ("epyc-genoa", r"epyc-genoa", _epyc("EPYC 4th generation")),
    ("epyc-turin", r"epyc-turin", _epyc("EPYC 5th generation")),
    ("v2", r"xeon.*\be[357]-\d{4}\w* ?v2\b", _IVY_BRIDGE),
    ("v3", r"xeon.*\be[357]-\d{4}\w* ?v3\b", _HASWELL),
    ("v4", r"xeon.*\be[357]-\d{4}\w* ?v4\b", _BROADWELL),
    ("xeon", r"xeon.*\b(?:platinum|gold|silver|bronze) \d1\d\d|xeon.*\bw-21\d\d", _SKYLAKE),
    ("xeon", r"xeon.*\b(?:platinum|gold|silver|bronze) \d2\d\d|xeon.*\bw-[23]2\d\d", _CASCADE_LAKE),
    ("epyc 7", r"\bepyc 7[\da-z]{2}1[a-z]{0,2}\b", _EPYC_1),
    ("epyc 7", r"\bepyc 7[\da-z]{2}2[a-z]{0,2}\b", _EPYC_2),
    ("epyc 7", r"\bepyc 7[\da-z]{2}3[a-z]{0,2}\b", _EPYC_3),
    # Three figures or letters, then the generation, then a part's letters: 9R14, 9V64H, 7V73X, 8C24P.
    ("epyc 8|epyc 9", r"\bepyc [89][\da-z]{2}4[a-z]{0,2}\b", _epyc("EPYC 4th generation")),
    ("epyc 9", r"\bepyc 9[\da-z]{2}5[a-z]{0,2}\b", _epyc("EPYC 5th generation")),
    # The desktop's chip under a server's name.
    ("epyc 4", r"\bepyc 4[\da-z]{3}[a-z]{0,2}\b", _client("EPYC 4000")),
    ("graviton|neoverse|ampere", r"graviton ?2|neoverse-n1|ampere.*altra", _GRAVITON_2),
    (
        "graviton|neoverse|grace|ampere|axion|cobalt",
        r"graviton|neoverse|\bgrace\b|ampere|\baxion\b|\bcobalt\b",
        _arm("Neoverse"),
    ),
    (
        "kunpeng|thunderx|a64fx|monaka|ftc|nvidia|falkor|saphira|x-gene",
        r"kunpeng|thunderx|a64fx|monaka|\bftc\d|nvidia olympus|falkor|saphira|x-gene",
        _arm("ARM server"),
    ),
    ("ryzen|athlon", r"\b(?:ryzen|athlon)\b(?!.*threadripper)", _client("Ryzen")),
)

# Model numbers of x86 family 6, from Linux's arch/x86/include/asm/intel-family.h.
_INTEL = {
    number: generation
    for numbers, generation in (
        ((0x2A, 0x2D), _SANDY_BRIDGE),
        ((0x3A, 0x3E), _IVY_BRIDGE),
        ((0x3C, 0x3F, 0x45, 0x46), _HASWELL),
        ((0x3D, 0x47, 0x4F, 0x56), _BROADWELL),
        # Cascade Lake and Cooper Lake share 0x55 and differ in the stepping alone; their figures differ by 7 %.
        ((0x55,), _SKYLAKE),
        # The desktop and laptop parts from Skylake to Comet Lake are one design.
        ((0x4E, 0x5E, 0x8E, 0x9E, 0xA5, 0xA6), _COFFEE_LAKE),
        ((0x6A, 0x6C), _xeon("Ice Lake")),
        ((0x8F,), _xeon("Sapphire Rapids")),
        ((0xCF,), _xeon("Emerald Rapids")),
        ((0xAD, 0xAE), _xeon("Granite Rapids")),
        ((0xAF,), _xeon("Sierra Forest")),
        ((0xDD,), _xeon("Clearwater Forest")),
        (
            (0x7D, 0x7E, 0x8C, 0x8D, 0xA7, 0x97, 0x9A, 0xBE, 0xB7, 0xBA, 0xBF, 0xAA, 0xAC, 0xBD, 0xC5, 0xC6),
            _client("Core"),
        ),
    )
    for number in numbers
}

# Ranges of model numbers that are servers (and Threadrippers), per x86 family; the others are desktops and laptops.
_AMD = (
    (0x17, 0x01, 0x01, _EPYC_1),
    (0x17, 0x30, 0x3F, _EPYC_2),
    (0x18, 0x00, 0x0F, _EPYC_1),  # Hygon's Dhyana is a Naples
    (0x19, 0x00, 0x0F, _EPYC_3),
    (0x19, 0x10, 0x1F, _epyc("EPYC 4th generation")),
    (0x19, 0x90, 0x9F, _epyc("EPYC 4th generation")),  # MI300A, MI300C
    (0x19, 0xA0, 0xAF, _epyc("EPYC 4th generation")),
    (0x1A, 0x00, 0x1F, _epyc("EPYC 5th generation")),
)
_WINDOWS = re.compile(r"family (\d+) model (\d+) stepping \d+,? *(genuineintel|authenticamd)?")


def family(host_vendor: str, cpu_family: int | None, cpu_number: int | None, name: str) -> Family:
    """Return the generation of a processor whose model is not known, with watts per hardware thread.

    Args:
        host_vendor: The processor's maker as ``/proc/cpuinfo`` spells it (``GenuineIntel``, ``AuthenticAMD``, ``ARM``).
        cpu_family: x86 family number, where known.
        cpu_number: x86 model number, where known.
        name: The processor's name.

    Example:
        >>> family("AuthenticAMD", 25, 1, "AMD EPYC").name
        'EPYC 3rd generation'
        >>> family("", None, None, "").max_w
        3.15
    """
    text = unmarked(name)
    vendor = host_vendor.casefold()
    if (match := _WINDOWS.search(text)) and cpu_number is None:
        cpu_family, cpu_number, vendor = int(match[1]), int(match[2]), match[3] or vendor
    for words, pattern, generation in _BY_WORD:
        if any(word in text for word in words.split("|")) and re.search(pattern, text):
            return generation
    if vendor == "genuineintel" or "intel" in text:
        return _intel(cpu_family, cpu_number, text)
    if vendor in ("authenticamd", "hygongenuine") or "amd" in text.split():
        return _amd(cpu_family, cpu_number, text)
    return _UNKNOWN


# Lines of products for desktops and laptops. QEMU's names of models ("Nehalem Class Core i7") hide the host's.
_INTEL_CLIENT = re.compile(r"\b(?:core|celeron|pentium|atom)\b|\bn\d{3}\b|\bu\d{3}\b")
_CLASS = re.compile(r"\bclass\b|\bqemu\b")


def _intel(cpu_family: int | None, cpu_number: int | None, text: str) -> Family:
    known = _INTEL.get(cpu_number) if cpu_family == 6 and cpu_number is not None else None
    if known is None and _INTEL_CLIENT.search(text) and "xeon" not in text and not _CLASS.search(text):
        return _client("Core")
    return known or Family("Intel", 0.78, 3.98, f"{_MEDIANS}, Xeon")


def _amd(cpu_family: int | None, cpu_number: int | None, text: str) -> Family:
    for numbered, first, last, generation in _AMD:
        if cpu_family == numbered and cpu_number is not None and first <= cpu_number <= last:
            return generation
    # The name decides where the numbers are not listed: new servers and custom parts have new ones.
    if match := re.search(r"\b(epyc|threadripper)\b", text):
        return _epyc("EPYC" if match[1] == "epyc" else "Threadripper")
    if "opteron" in text and not _CLASS.search(text):
        return _of_all("Opteron", "Opterons")
    if cpu_family in (0x17, 0x19, 0x1A) and cpu_number is not None:
        return _client("Ryzen")
    return Family("AMD", 0.34, 1.67, f"{_MEDIANS}, EPYC")
