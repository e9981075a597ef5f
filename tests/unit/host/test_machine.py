from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
from fake_systems import FakeLibc, windows

from eco2ai_callbacks.host.machine import Host, process_started, read_host

BOOT_ID = "11111111-2222-3333-4444-555555555555"


def cpus(count: int, *lines: str, **by_number: str) -> str:
    """A /proc/cpuinfo of so many processors; ``{n}`` in a line stands for the processor's number."""
    blocks = ["\n".join([f"processor\t: {n}", *(line.format(n=n) for line in lines)]) for n in range(count)]
    return "\n\n".join(blocks) + "\n\n"


def stat(threads: int) -> str:
    return "\n".join(["cpu  1 2 3 4", *(f"cpu{n} 1 2 3 4" for n in range(threads)), "ctxt 5", "cpufreq 1"]) + "\n"


def tree(root: Path, threads: int, cpuinfo: str, files: Mapping[str, str] | None = None) -> Host:
    """The host that stands in a folder with these files below ``proc`` and ``sys``."""
    all_files = {
        "proc/stat": stat(threads),
        "proc/cpuinfo": cpuinfo,
        "proc/sys/kernel/random/boot_id": f"{BOOT_ID}\n",
        **(files or {}),
    }
    for name, content in all_files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return read_host(root / "proc", root / "sys")


XEON = (
    "vendor_id\t: GenuineIntel",
    "cpu family\t: 6",
    "model\t\t: 85",
    "model name\t: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz",
    "flags\t\t: fpu vme de pse tsc msr",
)
GRAVITON = ("BogoMIPS\t: 243.75", "Features\t: fp asimd evtstrm", "CPU implementer\t: 0x41", "CPU part\t: 0xd40")


class TestMachines:
    def test_bare_metal_with_two_intel_sockets(self, tmp_path: Path):
        cpuinfo = cpus(2, *XEON, "physical id\t: 0") + cpus(2, *XEON, "physical id\t: 1")
        host = tree(
            tmp_path,
            4,
            cpuinfo,
            {
                "sys/class/dmi/id/sys_vendor": "Dell Inc.\n",
                "sys/class/dmi/id/product_name": "PowerEdge R740\n",
                "proc/self/status": "Name:\tpython\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3\n",
            },
        )
        assert host == Host(
            boot_id=BOOT_ID,
            system="Linux",
            virtual=False,
            cpu_name="Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz",
            cpu_vendor="GenuineIntel",
            cpu_family=6,
            cpu_number=85,
            threads=4,
            sockets=2,
            allowed_threads=4.0,
            lxcfs=False,
            vendor="Dell Inc. PowerEdge R740",
        )
        assert host.kind == "bare metal"

    def test_an_amd_virtual_machine_has_the_hypervisor_flag(self, tmp_path: Path):
        cpuinfo = cpus(
            2,
            "vendor_id\t: AuthenticAMD",
            "cpu family\t: 25",
            "model\t\t: 1",
            "model name\t: AMD EPYC 7R13 Processor",
            "physical id\t: 0",
            "flags\t\t: fpu hypervisor lahf_lm",
        )
        host = tree(tmp_path, 2, cpuinfo, {"sys/class/dmi/id/sys_vendor": "Amazon EC2\n"})
        assert (host.virtual, host.kind) == (True, "virtual machine")
        assert (host.cpu_vendor, host.cpu_family, host.cpu_number, host.sockets) == ("AuthenticAMD", 25, 1, 1)

    def test_a_cloud_machine_without_the_flag_is_bare_metal(self, tmp_path: Path):
        host = tree(
            tmp_path,
            4,
            cpus(4, *XEON),
            {"sys/class/dmi/id/sys_vendor": "Amazon EC2\n", "sys/class/dmi/id/product_name": "m5.metal\n"},
        )
        assert not host.virtual

    @pytest.mark.parametrize(
        ("vendor", "product", "virtual"),
        [
            ("Amazon EC2", "c7g.large", True),
            ("Amazon EC2", "c7g.metal", False),
            ("Amazon EC2", "m7g.metal-48xl", False),
            ("Microsoft Corporation", "Virtual Machine", True),
            ("Google", "Google Compute Engine", True),
            ("QEMU", "QEMU Virtual Machine", True),
            ("GIGABYTE", "R272-P30-JG", False),
            ("Microsoft Corporation", "Surface Pro X", False),
        ],
    )
    def test_an_arm_machine_is_told_by_its_vendor(self, tmp_path: Path, vendor: str, product: str, virtual: bool):
        host = tree(
            tmp_path,
            2,
            cpus(2, *GRAVITON),
            {"sys/class/dmi/id/sys_vendor": f"{vendor}\n", "sys/class/dmi/id/product_name": f"{product}\n"},
        )
        assert host.virtual is virtual
        assert (host.cpu_vendor, host.cpu_name) == ("ARM", "ARM Neoverse-V1")
        assert (host.cpu_family, host.cpu_number) == (None, None)
        assert host.vendor == f"{vendor} {product}"

    @pytest.mark.parametrize(
        ("compatible", "vendor", "virtual"),
        [
            ("linux,dummy-virt\0", "linux,dummy-virt", True),
            ("riscv-virtio\0", "riscv-virtio", True),
            ("raspberrypi,4-model-b\0brcm,bcm2711\0", "raspberrypi,4-model-b brcm,bcm2711", False),
        ],
    )
    def test_an_arm_board_is_told_by_its_device_tree(self, tmp_path: Path, compatible: str, vendor: str, virtual: bool):
        host = tree(tmp_path, 4, cpus(4, *GRAVITON), {"sys/firmware/devicetree/base/compatible": compatible})
        assert (host.virtual, host.vendor) == (virtual, vendor)

    @pytest.mark.parametrize(
        ("release", "virtual"),
        [
            ("6.10.14-linuxkit", True),  # Docker Desktop
            ("6.17.8-orbstack-00308-g8f9c941121b1", True),
            ("5.15.167.4-microsoft-standard-WSL2", True),  # on ARM, where no flag tells it
            ("6.1.0-rpi7-rpi-v8", False),
            ("6.14.2-401.asahi.fc42.aarch64+16k", False),
        ],
    )
    def test_an_arm_machine_without_a_vendor_is_told_by_its_kernel(self, tmp_path: Path, release: str, virtual: bool):
        host = tree(tmp_path, 8, cpus(8, *GRAVITON), {"proc/version": f"Linux version {release} (root@builder) #1 SMP"})
        assert (host.virtual, host.vendor, host.sandbox) == (virtual, "", "")

    def test_an_arm_machine_without_a_vendor_that_has_virtual_devices_is_a_guest(self, tmp_path: Path):
        devices = {"sys/bus/virtio/devices/virtio0/device": "0x0001"}
        assert tree(tmp_path, 8, cpus(8, *GRAVITON), devices).virtual

    def test_the_coprocessor_of_a_board_makes_no_guest_of_it(self, tmp_path: Path):
        devices = {"sys/bus/virtio/devices/virtio0/device": "0x0007\n"}
        assert not tree(tmp_path, 8, cpus(8, *GRAVITON), devices).virtual

    @pytest.mark.parametrize(
        ("lines", "vendor"), [(GRAVITON, "GIGABYTE"), (XEON, "")], ids=["named maker", "x86 without the flag"]
    )
    def test_virtual_devices_alone_make_no_guest(self, tmp_path: Path, lines: tuple[str, ...], vendor: str):
        files = {
            "sys/bus/virtio/devices/virtio0/device": "0x0001",
            "sys/class/dmi/id/sys_vendor": vendor,
            "proc/version": "Linux version 6.1.0",
        }
        assert not tree(tmp_path, 8, cpus(8, *lines), files).virtual

    @pytest.mark.parametrize(
        ("version", "sandbox"),
        [
            ("Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016", "gVisor"),
            ("Linux version 4.19.0-gvisor #1 SMP Sun Jan 10 15:06:54 PST 2016", "gVisor"),
            ("Linux version 6.6.1-gvisor (x) #2 SMP", "gVisor"),
            ("Linux version 6.8.0-45-generic (buildd@lcy02-amd64-115) #45-Ubuntu SMP", ""),
            ("", ""),
        ],
        ids=["first", "named", "another date", "Linux", "hidden"],
    )
    def test_a_sandbox_of_gvisor_is_told_by_its_version(self, tmp_path: Path, version: str, sandbox: str):
        assert tree(tmp_path, 2, cpus(2, *XEON), {"proc/version": version}).sandbox == sandbox

    def test_a_processor_of_another_kind_has_no_vendor(self, tmp_path: Path):
        host = tree(tmp_path, 8, cpus(8, "cpu\t\t: POWER9, altivec supported"))
        assert (host.cpu_name, host.cpu_vendor, host.virtual, host.sockets) == ("POWER9", "", False, 1)

    def test_arm_s_sockets_are_those_of_the_topology(self, tmp_path: Path):
        packages = {
            f"sys/devices/system/cpu/cpu{n}/topology/physical_package_id": f"{36 * (n // 2)}\n" for n in range(4)
        }
        assert tree(tmp_path, 4, cpus(4, *GRAVITON), packages).sockets == 2

    def test_where_arm_s_firmware_numbers_no_packages_there_is_one(self, tmp_path: Path):
        packages = {f"sys/devices/system/cpu/cpu{n}/topology/physical_package_id": "-1\n" for n in range(4)}
        assert tree(tmp_path, 4, cpus(4, *GRAVITON), packages).sockets == 1
        assert tree(tmp_path, 4, cpus(4, *GRAVITON)).sockets == 1

    def test_threads_are_those_that_are_online(self, tmp_path: Path):
        assert tree(tmp_path, 3, cpus(4, *XEON)).threads == 3

    def test_where_the_kernel_counts_none_the_library_is_asked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(psutil, "cpu_count", lambda: 6)
        assert tree(tmp_path, 0, "").threads == 6
        monkeypatch.setattr(psutil, "cpu_count", lambda: None)
        assert tree(tmp_path, 0, "").threads == 1

    def test_without_a_boot_id_the_name_and_the_time_of_the_boot_stand_for_it(self, tmp_path: Path):
        host = tree(tmp_path, 1, cpus(1, *XEON), {"proc/sys/kernel/random/boot_id": ""})
        assert host.boot_id == f"{platform.node()}-{int(psutil.boot_time())}"

    def test_the_hash_tells_hosts_apart_and_nothing_else(self, tmp_path: Path):
        one = tree(tmp_path, 1, cpus(1, *XEON))
        assert len(one.hash) == 16
        assert BOOT_ID not in one.hash
        other = tree(tmp_path, 1, cpus(1, *XEON), {"proc/sys/kernel/random/boot_id": "another\n"})
        assert other.hash != one.hash

    def test_this_machine_can_be_read(self):
        host = read_host()
        assert host.threads >= host.allowed_threads > 0
        assert host.hash == read_host().hash


class TestElsewhere:
    @pytest.mark.parametrize(
        ("system", "name", "vendor", "family", "number"),
        [
            ("Darwin", "Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz", "GenuineIntel", 6, 158),
            ("Windows", "AMD Ryzen 9 5950X 16-Core Processor", "AuthenticAMD", 25, 33),
            ("FreeBSD", "chip", "", None, None),
        ],
    )
    def test_without_procfs_the_library_knows_the_rest(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        system: str,
        name: str,
        vendor: str,
        family: int | None,
        number: int | None,
    ):
        values = {"brand_string": name, "vendor": vendor, "family": family or 0, "model": number or 0}
        libc = FakeLibc({f"machdep.cpu.{key}": value for key, value in values.items()})
        monkeypatch.setattr(ctypes, "CDLL", lambda _: libc)
        identifier = f"AMD64 Family {family} Model {number} Stepping 0"
        monkeypatch.setitem(sys.modules, "winreg", windows(name, vendor, identifier))
        monkeypatch.setattr(platform, "system", lambda: system)
        monkeypatch.setattr(platform, "machine", lambda: "x86_64")
        monkeypatch.setattr(platform, "processor", lambda: "chip")
        monkeypatch.setattr(psutil, "cpu_count", lambda: 10)
        host = read_host(tmp_path / "proc", tmp_path / "sys")
        assert host == Host(
            boot_id=f"{platform.node()}-{int(psutil.boot_time())}",
            system=system,
            virtual=False,
            cpu_name=name,
            cpu_vendor=vendor,
            cpu_family=family,
            cpu_number=number,
            threads=10,
            sockets=1,
            allowed_threads=10.0,
        )


class TestAllowedThreads:
    def allowed(self, tmp_path: Path, files: Mapping[str, str], threads: int = 64) -> float:
        return tree(tmp_path, threads, cpus(1, *XEON), files).allowed_threads

    @pytest.mark.parametrize(
        ("spans", "count"), [("0-3", 4.0), ("0,2,4", 3.0), ("0-1,8-9,63", 5.0), ("7", 1.0), ("0-255", 64.0)]
    )
    def test_a_set_of_threads(self, tmp_path: Path, spans: str, count: float):
        assert self.allowed(tmp_path, {"proc/self/status": f"Cpus_allowed_list:\t{spans}\n"}) == count

    def test_a_quota_of_the_second_version(self, tmp_path: Path):
        files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}
        assert self.allowed(tmp_path, files) == 2.5

    def test_the_smallest_quota_of_the_group_and_its_ancestors(self, tmp_path: Path):
        files = {
            "proc/self/cgroup": "0::/kubepods/pod1/container\n",
            "sys/fs/cgroup/kubepods/cpu.max": "max 100000\n",
            "sys/fs/cgroup/kubepods/pod1/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/kubepods/pod1/container/cpu.max": "400000 100000\n",
        }
        assert self.allowed(tmp_path, files) == 1.5

    def test_a_group_outside_of_the_containers_view_counts_from_its_root(self, tmp_path: Path):
        files = {"proc/self/cgroup": "0::/../../pod1\n", "sys/fs/cgroup/cpu.max": "300000 100000\n"}
        assert self.allowed(tmp_path, files) == 3.0

    @pytest.mark.parametrize("content", ["max 100000\n", "max\n", "", "0 100000\n", "100000 0\n", "x y\n"])
    def test_no_quota(self, tmp_path: Path, content: str):
        files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": content}
        assert self.allowed(tmp_path, files) == 64.0

    def test_a_quota_of_the_first_version(self, tmp_path: Path):
        files = {
            "proc/self/cgroup": "12:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n1:name=systemd:/docker/1\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        }
        assert self.allowed(tmp_path, files) == 0.5

    def test_a_controller_whose_folder_is_named_in_another_order(self, tmp_path: Path):
        files = {
            "proc/self/cgroup": "4:cpuacct,cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        }
        assert self.allowed(tmp_path, files) == 2.0

    def test_the_smallest_of_set_and_quota(self, tmp_path: Path):
        files = {
            "proc/self/status": "Cpus_allowed_list:\t0-7\n",
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cpu.max": "400000 100000\n",
        }
        assert self.allowed(tmp_path, files) == 4.0


class TestLxcfs:
    @pytest.mark.parametrize(
        ("mount", "seen"),
        [
            ("lxcfs /proc/stat fuse.lxcfs rw,nosuid,nodev 0 0", True),
            ("lxcfs /proc/meminfo fuse.lxcfs rw,nosuid,nodev 0 0", False),
            ("lxcfs /var/lib/lxcfs fuse.lxcfs rw,nosuid,nodev 0 0", False),
            ("proc /proc proc rw 0 0", False),
        ],
    )
    def test_only_a_container_sees_the_load_through_it(self, tmp_path: Path, mount: str, seen: bool):
        files = {"proc/self/mounts": f"overlay / overlay rw 0 0\n{mount}\n"}
        assert tree(tmp_path, 2, cpus(2, *XEON), files).lxcfs is seen


class TestProcessStarted:
    def test_a_process_keeps_the_time_of_its_start(self):
        assert process_started() == process_started(os.getpid())
        assert process_started() is not None

    def test_a_name_with_brackets_and_spaces_moves_no_field(self, tmp_path: Path):
        (tmp_path / "7").mkdir()
        rest = " ".join(str(number) for number in range(4, 40))
        (tmp_path / "7" / "stat").write_text(f"7 (a) S b) S {rest}\n")
        assert process_started(7, tmp_path) == 22.0

    def test_without_procfs_the_library_is_asked(self, tmp_path: Path):
        assert process_started(os.getpid(), tmp_path) == psutil.Process().create_time()

    def test_in_the_host_s_procfs_a_container_s_process_is_looked_up_by_its_id_there(self, tmp_path: Path):
        def put(pid: int, started: int, *ids: int) -> None:
            (tmp_path / str(pid)).mkdir()
            fields = " ".join(["S", "4711", *("0" for _ in range(17)), str(started)])
            (tmp_path / str(pid) / "stat").write_text(f"{pid} (python) {fields}\n")
            (tmp_path / str(pid) / "status").write_text(f"NSpid:\t{' '.join(map(str, ids))}\n")

        (tmp_path / "stat").write_text(stat(1))
        (tmp_path / "self").symlink_to("4711")
        put(4711, 300, 4711, os.getpid())
        put(4712, 400, 4712, 7)
        put(7, 5, 7)
        assert process_started(os.getpid(), tmp_path) == 300.0
        assert process_started(7, tmp_path) == 400.0
        assert process_started(8, tmp_path) is None

    def test_where_procfs_shows_another_namespace_a_signal_tells_who_runs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        (tmp_path / "self").symlink_to("gone")
        (tmp_path / "stat").write_text(stat(1))
        errors: dict[int, type[OSError]] = {8: ProcessLookupError, 9: PermissionError}

        def kill(pid: int, signal: int) -> None:
            assert signal == 0
            if pid in errors:
                raise errors[pid]

        monkeypatch.setattr(os, "kill", kill)
        assert [process_started(pid, tmp_path) for pid in (7, 8, 9)] == [0.0, None, 0.0]
