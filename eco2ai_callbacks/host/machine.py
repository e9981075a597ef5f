"""Facts about the machine: boot id, processor, virtual or bare metal, how much of it a container may use."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from eco2ai_callbacks.host.limits import limits
from eco2ai_callbacks.host.namespace import PidNamespace
from eco2ai_callbacks.host.processor import linux_processor, other_processor
from eco2ai_callbacks.host.procfs import content_of


@dataclass(frozen=True, slots=True)
class Host:
    """The facts about a machine that its measurement depends on.

    Args:
        boot_id: Random id of this boot of this machine; nothing else distinguishes hosts.
        system: ``Linux``, ``Darwin``, ``Windows``, ...
        virtual: Whether this is a guest of a hypervisor.
        cpu_name: The processor's name as the system spells it; empty if there is none.
        cpu_vendor: ``GenuineIntel``, ``AuthenticAMD``, ``HygonGenuine``, ``ARM``, ``Apple`` or empty.
        cpu_family: x86 family number, where known.
        cpu_number: x86 model number, where known.
        threads: Hardware threads of the machine (of the guest, in a virtual machine).
        sockets: Processor packages of the machine.
        allowed_threads: Threads that this process may use, by quota, cpuset and affinity.
        lxcfs: Whether ``/proc/stat`` is a container's own view (LXCFS).
        vendor: Vendor of the machine, its maker or its cloud, by DMI or device tree; empty where unknown.
        sandbox: Name of the user-space kernel that shows only its own sandbox, and no busy time of the machine:
            ``gVisor``; empty under Linux itself.
    """

    boot_id: str
    system: str
    virtual: bool
    cpu_name: str
    cpu_vendor: str
    threads: int
    sockets: int
    allowed_threads: float
    cpu_family: int | None = None
    cpu_number: int | None = None
    lxcfs: bool = False
    vendor: str = ""
    sandbox: str = ""

    @property
    def hash(self) -> str:
        """A short hash of the boot id: distinguishes hosts in a log, and reveals nothing else about them."""
        return hashlib.sha256(self.boot_id.encode()).hexdigest()[:16]

    @property
    def kind(self) -> str:
        """``virtual machine`` or ``bare metal``."""
        return "virtual machine" if self.virtual else "bare metal"


# DMI and device-tree vendors of guests, for processors without the x86 `hypervisor` flag.
_GUEST_VENDORS = re.compile(
    r"qemu|kvm|amazon ec2|google|microsoft corporation.*virtual|vmware|xen|bochs|innotek|virtualbox|parallels|"
    r"openstack|digitalocean|hetzner|alibaba cloud|nutanix|linux,dummy-virt|riscv-virtio|apple virtualization",
    re.IGNORECASE | re.DOTALL,
)
# Amazon's machines without a hypervisor name the same vendor (c7g.metal, m7g.metal-48xl).
_BARE_PRODUCTS = re.compile(r"\.metal\b")
# Kernels that are built for guests only: Docker Desktop's virtual machine, OrbStack's, and WSL2's.
_GUEST_KERNELS = re.compile(r"^Linux version \S*(?:linuxkit|orbstack|microsoft-standard)")
# The one virtio device of real boards, which speaks to their coprocessors (virtio specification, device types: 7).
_VIRTIO_RPMSG = "0x0007"
# gVisor's own release, or the version that it has always reported (google/gvisor, pkg/sentry/syscalls/linux).
_GVISOR = re.compile(r"^Linux version \S*gvisor|#1 SMP Sun Jan 10 15:06:54 PST 2016")


def read_host(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Host:
    """Return the facts about this machine.

    Args:
        proc: Mount point of procfs.
        sys: Mount point of sysfs.
    """
    if not (proc / "stat").exists():
        return _read_elsewhere()
    info = _cpuinfo(_text(proc / "cpuinfo"))
    vendor = " ".join(filter(None, (_text(sys / "class/dmi/id" / n).strip() for n in ("sys_vendor", "product_name"))))
    vendor = vendor or _text(sys / "firmware/devicetree/base/compatible").replace("\0", " ").strip()
    flags = info.get("flags", "").split()
    kernel = _text(proc / "version")
    threads = sum(line.startswith("cpu") and line[3:4].isdigit() for line in _text(proc / "stat").splitlines())
    threads = threads or _cpu_count()
    processor = linux_processor(info, threads, sys)
    return Host(
        boot_id=_text(proc / "sys/kernel/random/boot_id").strip() or _fallback_boot_id(),
        system="Linux",
        virtual="hypervisor" in flags if flags else _is_guest(vendor, kernel, sys),
        cpu_name=processor.name,
        cpu_vendor=processor.vendor,
        cpu_family=processor.family,
        cpu_number=processor.number,
        threads=threads,
        sockets=_sockets(_text(proc / "cpuinfo"), sys),
        allowed_threads=min([float(threads), *(limit.threads for limit in limits(proc, sys))]),
        # On the host of containers lxcfs is mounted too, but elsewhere.
        lxcfs=bool(re.search(r"^\S+ /proc/stat fuse\.lxcfs ", _text(proc / "self/mounts"), re.MULTILINE)),
        vendor=vendor,
        sandbox="gVisor" if _GVISOR.search(kernel) else "",
    )


def _is_guest(vendor: str, kernel: str, sys: Path) -> bool:
    """Return whether a processor without the x86 flag ``hypervisor`` is a guest's."""
    if _GUEST_KERNELS.search(kernel):
        return True
    if vendor:
        return bool(_GUEST_VENDORS.search(vendor)) and not _BARE_PRODUCTS.search(vendor)
    # Virtual machines for containers (Apple's, Kata's) have neither DMI nor a device tree that a container may read,
    # but their disks and networks are virtio's. A machine that names its maker may have such a card of its own.
    devices = sys / "bus/virtio/devices"
    return any(_text(devices / name / "device").strip() != _VIRTIO_RPMSG for name in _entries(devices))


def _read_elsewhere() -> Host:
    import platform  # not needed under Linux

    system = platform.system()
    threads = _cpu_count()
    processor = other_processor(system)
    return Host(
        boot_id=_fallback_boot_id(),
        system=system,
        virtual=False,
        cpu_name=processor.name,
        cpu_vendor=processor.vendor,
        cpu_family=processor.family,
        cpu_number=processor.number,
        threads=threads,
        sockets=1,
        allowed_threads=float(threads),
    )


def _cpu_count() -> int:
    import psutil  # not needed under Linux

    return psutil.cpu_count() or 1


def _fallback_boot_id() -> str:
    import platform  # neither is needed under Linux

    import psutil

    return f"{platform.node()}-{int(psutil.boot_time())}"


def _text(path: Path) -> str:
    """Return a small file's content; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _entries(folder: Path) -> list[str]:
    """Return the names in a folder; none where it cannot be listed."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are enough
    except OSError:
        return []


def _cpuinfo(text: str) -> dict[str, str]:
    """Return the first processor's fields."""
    first = text.strip().split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _sockets(cpuinfo: str, sys: Path) -> int:
    packages = set(re.findall(r"^physical id\s*:\s*(\d+)", cpuinfo, re.MULTILINE))
    if not packages and "CPU implementer" in cpuinfo:
        # ARM's kernel lists no packages in /proc/cpuinfo; where the firmware does not number them, all are one's.
        topologies = (sys / "devices/system/cpu").glob("cpu[0-9]*/topology/physical_package_id")
        packages = {number for path in topologies if (number := _text(path).strip()).isdecimal()}
    return len(packages) or 1


def process_started(pid: int | None = None, proc: Path = Path("/proc")) -> float | None:
    """Return the start time of a process, in a unit of the system's own; ``None`` where it has ended.

    A later process with the same id has another start time.
    """
    return process_identity(pid, proc)[0]


def process_identity(pid: int | None = None, proc: Path = Path("/proc")) -> tuple[float | None, int]:
    """Return the start time of a process, as :func:`process_started` does, and a number of the program that it runs.

    ``execve`` changes that number. It is the address at which the stack begins, which Linux chooses by chance for each
    program, and shows to the process's own user (proc_pid_stat(5)); 0 where the system tells none.
    """
    pid = os.getpid() if pid is None else pid
    namespace = _namespace(os.getpid(), proc)
    if namespace.own is None:
        return _running(pid), 0
    fields = _fields(str(namespace.shown(pid)), proc)
    if fields:
        return None if fields[0] in "ZX" else float(fields[19]), int(fields[25]) if len(fields) > 25 else 0
    if (proc / "stat").exists():
        return None, 0
    import psutil  # not needed under Linux

    try:
        return float(psutil.Process(pid).create_time()), 0
    except psutil.Error:
        return None, 0


def ancestors(proc: Path = Path("/proc")) -> list[int]:
    """Return the ids of this process's ancestors, the nearest first.

    Args:
        proc: Mount point of procfs.
    """
    if _namespace(os.getpid(), proc).depth or not (proc / "stat").exists():
        import psutil  # not needed under Linux

        return [process.pid for process in psutil.Process().parents()]
    found: list[int] = []
    pid = os.getpid()
    # 0 is the parent of the first process, and one that is in another namespace; an id that was reused ends no search.
    while (fields := _fields(str(pid), proc)) and (pid := int(fields[1])) and pid not in found:
        found.append(pid)
    return found


def _fields(pid: str, proc: Path) -> list[str]:
    """Return the fields of a process's status after its name; empty where there are none."""
    # The command's name may hold spaces and brackets: fields count from the last bracket (proc_pid_stat(5)).
    return _status(f"{proc}/{pid}/stat").rpartition(")")[2].split()


def _status(path: str) -> str:
    """Return a process's status; empty where it cannot be read."""
    try:
        return content_of(path).decode(errors="replace")
    except OSError:
        return ""


@functools.lru_cache(maxsize=2)
def _namespace(own: int, proc: Path) -> PidNamespace:  # noqa: ARG001 - another after a fork
    return PidNamespace(proc)


def _running(pid: int) -> float | None:
    """Return 0 for a process that runs, where no start time can be read."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # another user's
        pass
    return 0.0
