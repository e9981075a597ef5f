"""A virtual environment for each package, made from the registry that pip is set up for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.peers import Peer

ROOT = Path(__file__).parents[1]
# What `python -m venv` itself puts there, with every package the same.
SEED = {"pip", "setuptools", "wheel"}
BYTES_OF_A_MB = 1e6
INSTALL_TIMEOUT_S = 900


class InstallError(Exception):
    """A package that could not be installed; the message is pip's own."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What is in a package's environment.

    Args:
        python: Its interpreter.
        version: The version of the package.
        packages: Name and version of each package that came with it, itself included.
        mb: Megabytes on disk that they take.
    """

    python: str
    version: str
    packages: dict[str, str]
    mb: float


def make(peers: Iterable[Peer], folder: Path) -> dict[str, Environment | InstallError]:
    """Return an environment for each peer, by its name; one that is in the folder already is used again.

    The package of this repository is always installed anew: its version does not tell two states of it apart.
    """

    def made(peer: Peer) -> Environment | InstallError:
        try:
            return _ensure(peer, folder / f"{peer.name}-{sys.version_info[0]}.{sys.version_info[1]}")
        except InstallError as error:
            return error

    peers = tuple(peers)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return dict(zip((peer.name for peer in peers), pool.map(made, peers), strict=True))


def _ensure(peer: Peer, place: Path) -> Environment:
    facts = place / "benchmark.json"
    if peer.requirement is not None and facts.is_file():
        return Environment(**json.loads(facts.read_text(encoding="utf-8")))
    shutil.rmtree(place, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(place))
    python = str(place / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    before = _size(place)
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", peer.requirement or str(ROOT))
    listed = json.loads(_run(python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"))
    packages = {each["name"]: each["version"] for each in listed if each["name"].lower() not in SEED}
    wanted = (peer.requirement or "eco2ai-callbacks").lower()
    version = next(number for name, number in packages.items() if name.lower() == wanted)
    environment = Environment(python, version, packages, (_size(place) - before) / BYTES_OF_A_MB)
    facts.write_text(json.dumps(asdict(environment)), encoding="utf-8")
    return environment


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise InstallError((errors or done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0])
    return done.stdout


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
