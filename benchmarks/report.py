"""What a reader must know beside the figures: the machine, how each package was used, and what was installed."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

from benchmarks.environments import Environment, InstallError
from benchmarks.measures.bench import Bench
from benchmarks.peers import Peer


def head(command: str) -> dict[str, str]:
    """Return where and when the table is made."""
    counters = "there" if any(Path("/sys/class/powercap").glob("intel-rapl:*")) else "none"
    return {
        "Date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "CPU": f"{_processor()}, {os.cpu_count()} threads; RAPL counters: {counters}",
        "Python": f"{platform.python_version()} on {platform.system()} {platform.release().partition('-')[0]}",
        "Command": f"`{command}`",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def load() -> str:
    """Return how many processes wanted a core in the last minute."""
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


def uses(packages: tuple[Peer, ...], bench: Bench) -> dict[str, str]:
    """Return how each package was used."""
    return {
        peer.name: f"a mark is {peer.mark}; network: {peer.offline}; CPU energy: {bench.sources.get(peer.name, '–')}"
        for peer in packages
    }


def versions(packages: tuple[Peer, ...], made: dict[str, Environment | InstallError]) -> dict[str, str]:
    """Return what was installed for each package."""
    found = {}
    for peer in packages:
        each = made[peer.name]
        if isinstance(each, Environment):
            listed = ", ".join(f"{name} {version}" for name, version in sorted(each.packages.items()))
            found[f"{peer.name} {each.version}"] = listed
    return found
