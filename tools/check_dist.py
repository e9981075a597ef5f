"""Check a release: ``python tools/check_dist.py FIRST SECOND``, two folders with an sdist and a wheel each.

Both builds must be the same to the byte, hold what they must and nothing else, and have metadata that a package index
accepts. The sizes and hashes are printed.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

# What a wheel must hold, beside the modules: data, hints, and the licences in its metadata.
IN_WHEEL = {
    "eco2ai_callbacks/py.typed",
    "eco2ai_callbacks/runlog/schema.json",
    "eco2ai_callbacks/carbon/data/factors.tsv",
    "eco2ai_callbacks/carbon/data/places.tsv",
    "eco2ai_callbacks/meters/cpu/data/cpu.tsv",
    ".dist-info/entry_points.txt",
    ".dist-info/licenses/LICENSE",
    ".dist-info/licenses/NOTICE",
}
# What one needs to test the package and to build its documentation from the sdist alone.
IN_SDIST = {
    *("pyproject.toml", "tox.ini", "mkdocs.yml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "NOTICE"),
    *("tests/conftest.py", "docs/index.md", "examples/plain_tracker.py", "tools/generated_docs.py"),
    *("benchmarks/__main__.py", "eco2ai_callbacks/py.typed"),
}
# The ends of files that are made by running something here, and of raw figures.
NOT_IN_WHEEL = (".csv", ".pyc", ".ipynb", ".jsonl", ".png")
NOT_IN_SDIST = (".pyc", ".so", ".egg-info")


def same(first: Path, second: Path) -> Iterator[str]:
    """Yield one sentence for each file of two builds that differs."""
    names = {path.name for folder in (first, second) for path in folder.iterdir()}
    for name in sorted(names):
        digests = [_digest(folder / name) for folder in (first, second)]
        if digests[0] != digests[1]:
            yield f"{name} is not the same in both builds: {digests[0]}, {digests[1]}"
    if sorted(PurePosixPath(name).suffix for name in names) != [".gz", ".whl"]:
        yield f"one sdist and one wheel were expected: {sorted(names)}"


def wheel_faults(names: Collection[str]) -> Iterator[str]:
    """Yield one sentence for each fault in the list of a wheel's files."""
    for wanted in sorted(IN_WHEEL):
        if not any(name.endswith(wanted) for name in names):
            yield f"the wheel lacks {wanted}"
    for name in sorted(names):
        top = name.partition("/")[0]
        if top != "eco2ai_callbacks" and not top.endswith(".dist-info"):
            yield f"the wheel would install {name} beside the package"
        elif name.endswith(NOT_IN_WHEEL):
            yield f"the wheel holds {name}"


def sdist_faults(names: Collection[str]) -> Iterator[str]:
    """Yield one sentence for each fault in the list of an sdist's files."""
    inside = {name.partition("/")[2] for name in names}
    yield from (f"the sdist lacks {wanted}" for wanted in sorted(IN_SDIST - inside))
    yield from (f"the sdist holds {name}" for name in sorted(inside) if name.endswith(NOT_IN_SDIST))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "absent"


def main(first: str, second: str) -> int:
    """Print what is wrong with a release; return the exit status."""
    found = list(same(Path(first), Path(second)))
    files = sorted(Path(first).iterdir())
    for path in files:
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                names = wheel.namelist()
            found += wheel_faults(names)
        else:
            with tarfile.open(path) as sdist:
                names = sdist.getnames()
            found += sdist_faults(names)
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {len(names)} files, sha256 {_digest(path)}")
    print("\n".join(found), end="\n" if found else "")
    checked = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *map(str, files)], check=False)
    return 1 if found or checked.returncode else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
