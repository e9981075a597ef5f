"""The unit tests mirror the package, file for file: whoever changes a module knows where its tests are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from each_row import each_row

import eco2ai_callbacks

PACKAGE = Path(eco2ai_callbacks.__file__).parent
UNIT = Path(__file__).parents[1] / "unit"

# Modules that unit tests cannot or need not test, and what does.
ELSEWHERE = {
    "__main__": "hands on to the command: tests/system/test_command.py",
    "__init__": "what the package offers and costs: tests/system/test_imports.py",
    "lightning": "needs its framework: tests/fits/test_lightning.py",
    "transformers": "needs its framework: tests/fits/test_transformers.py",
    "keras": "needs its framework: tests/fits/test_keras.py",
    "accelerate": "needs its framework: tests/fits/test_accelerate.py",
    "eco2ai_compat/errors": "names alone: tests/unit/eco2ai_compat/test_accepted.py and test_tracker.py raise them",
    "auto": "Lightning calls it: tests/system/test_auto.py",
    "meters/meter": "a protocol: tests/contract/test_meters.py holds every meter to it",
    "integrations/script": "runs scripts as processes: tests/system/test_script.py",
    "integrations/hf_last": "needs its framework: tests/fits/test_transformers.py",
    "integrations/lightning_callbacks": "needs its framework: tests/fits/test_lightning.py",
    "integrations/keras_last": "needs its framework: tests/fits/test_keras.py",
    "integrations/hf_model_card": "needs its framework: tests/fits/test_model_card.py",
    "settings/__init__": "hands on the names of its modules",
    "testing/__init__": "hands on the names of its modules",
    "settings/args": "names for editors alone: tests/system/test_package.py compares them with the settings",
}


def of_module(path: Path) -> str:
    """A module as its place in the package, without the suffix; a folder's own file stands for the folder."""
    name = path.relative_to(PACKAGE).with_suffix("").as_posix()
    return name if name in ELSEWHERE else name.removesuffix("/__init__")


def of_test(path: Path) -> str:
    """The place of the module that a test file is named after."""
    place = path.relative_to(UNIT)
    return place.with_name(place.stem.removeprefix("test_")).as_posix()


def is_empty(path: Path) -> bool:
    """Whether a folder's own file says only what the folder is for."""
    return path.name == "__init__.py" and len(path.read_text(encoding="utf-8").splitlines()) <= 1


MODULES = {of_module(path): path for path in sorted(PACKAGE.rglob("*.py")) if not is_empty(path)}
TESTS = {of_test(path): path for path in sorted(UNIT.rglob("test_*.py"))}


@each_row(TESTS)
def test_a_unit_test_file_is_named_after_a_module_of_the_same_place(place: str) -> None:
    assert place in MODULES, f"{TESTS[place]} tests no module of its name: eco2ai_callbacks/{place}.py is not there"


@each_row([place for place in MODULES if place not in ELSEWHERE])
def test_a_module_has_a_unit_test_file(place: str) -> None:
    assert place in TESTS, f"eco2ai_callbacks/{place}.py has no unit tests; and no reason in ELSEWHERE"


def test_what_is_tested_elsewhere_is_there_and_not_in_both_places() -> None:
    assert ELSEWHERE.keys() <= MODULES.keys()
    assert not ELSEWHERE.keys() & TESTS.keys()


@each_row(sorted(PACKAGE.rglob("*.py")), lambda path: path.relative_to(PACKAGE))
def test_a_module_holds_one_idea(path: Path) -> None:
    """More than 300 lines, or 250 in a class, are usually two ideas."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= (200 if node.name == "Tracker" else 250), f"{node.name} has {length} lines"


def test_the_root_holds_what_users_import_and_the_ground() -> None:
    public = {"__init__", "__main__", "auto", "lightning", "transformers", "keras", "accelerate", "tracker", "eco2ai"}
    ground = {"record", "usage", "parallel", "bands", "plain", "guard", "errors"}
    assert {path.stem for path in PACKAGE.glob("*.py")} == public | ground


# A test that imports a framework, in its own code or in that of a process.
NEEDS_FRAMEWORK = re.compile(
    r"""(importorskip|import_module)\(["'](%s)|^ *(import|from) (%s)\b|\binstalled\("""
    % (("lightning|pytorch_lightning|transformers|keras|accelerate|torch",) * 2),
    re.MULTILINE,
)
# These have environments of their own.
APART = {"test_ray.py", "test_hosts.py", "test_spark.py", "test_sweeps.py", "test_deepspeed.py"}


@pytest.mark.parametrize("folder", ["contract", "system"])
def test_the_environment_with_all_frameworks_runs_each_test_that_needs_one(folder: str):
    tests = UNIT.parent
    needing = {
        path.name
        for path in (tests / folder).glob("test_*.py")
        if path != Path(__file__) and NEEDS_FRAMEWORK.search(path.read_text(encoding="utf-8"))
    }
    assert len(needing - APART) > (0 if folder == "contract" else 5)
    tox = (tests.parent / "tox.ini").read_text(encoding="utf-8")
    assert needing - APART <= set(re.findall(rf"tests/{folder}/(test_\w+\.py)", tox.partition("[testenv]")[0]))
