"""The house: which room may import which, and what importing the package costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import eco2ai_callbacks

PACKAGE = Path(eco2ai_callbacks.__file__).parent
ADAPTERS = {"lightning", "transformers", "keras", "accelerate"}

# From the top of the house to its ground; a room may import from the floors below its own, never from its neighbours.
FLOORS: list[set[str]] = [
    {"__main__"},
    {"cli", "auto"},
    ADAPTERS | {"eco2ai", "report"},
    {"fits", "launch", "hubcard", "tracking"},
    {"tracker"},
    {"session", "collective"},
    {"opening"},
    {"metering", "ledger", "stages", "run", "publish", "scalars", "forecast", "budget", "card", "ranks"},
    {"meters", "carbon", "runlog", "sinks"},
    {"registry"},
    {"settings", "host", "contain", "record", "frames"},
    {"usage"},
    {"errors"},
]
# For tests: may import anything below the session, and nothing imports it.
TESTING = "testing"


def room(path: Path) -> str:
    """The room that a file belongs to: a file or folder right below the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def files() -> list[Path]:
    return [p for p in sorted(PACKAGE.rglob("*.py")) if "sources" not in p.parts and p != PACKAGE / "__init__.py"]


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they lead"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("eco2ai_callbacks.")}
    return found


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def test_every_room_has_its_floor() -> None:
    known = set().union(*FLOORS) | {TESTING}
    assert {room(path) for path in files()} <= known


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_lead_downwards(path: Path) -> None:
    here = room(path)
    for other in imported_rooms(path) - {here}:
        assert other != TESTING, f"{path.name} imports the fakes"
        if here != TESTING:
            assert floor(other) > floor(here), f"{here} imports {other}, which is not below it"


def imports_of(module: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"], capture_output=True, text=True, check=True
    )
    return {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}


HEAVY = ("numpy", "pandas", "torch", "lightning", "pytorch_lightning", "transformers", "keras", "jax", "tensorflow")


def test_the_root_pulls_in_next_to_nothing() -> None:
    found = imports_of("eco2ai_callbacks")
    assert not [name for name in found if name.split(".")[0] in (*HEAVY, "pynvml", "psutil", "click")]
    assert [name for name in found if name.startswith("eco2ai_callbacks")] == ["eco2ai_callbacks"]


def test_the_tracker_pulls_in_no_framework() -> None:
    found = imports_of("eco2ai_callbacks.tracker")
    assert not [name for name in found if name.split(".")[0] in (*HEAVY, "pynvml")]


def test_the_root_names_the_three_imports_of_the_callback() -> None:
    with pytest.raises(ImportError, match=r"eco2ai_callbacks\.lightning, .*\.transformers or .*\.keras\.$"):
        from eco2ai_callbacks import Eco2AICallback  # noqa: F401
    assert not hasattr(eco2ai_callbacks, "Eco2AICallback")
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = eco2ai_callbacks.Nonsense


def test_the_root_offers_the_tracker() -> None:
    from eco2ai_callbacks import Tracker, Usage, track

    assert Tracker.__module__ == "eco2ai_callbacks.tracker"
    assert callable(track)
    assert Usage().joules == {}
    assert set(dir(eco2ai_callbacks)) == {"Tracker", "Usage", "track"}


def test_only_one_place_catches_everything() -> None:
    catching = [
        path.name
        for path in files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
    ]
    assert catching == ["contain.py"]
