"""Every example in a docstring gives what it says."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest
from each_row import each_row

import eco2ai_callbacks
from eco2ai_callbacks import track

PREFIX = "eco2ai_callbacks."
# These begin with the import of a framework, or of what an extra installs, which may be missing.
ADAPTERS = {f"{PREFIX}{name}" for name in ("lightning", "transformers", "keras", "accelerate")}
ADAPTERS |= {f"{PREFIX}integrations.{name}" for name in ("hf_last", "keras_last", "lightning_callbacks")}
ADAPTERS |= {f"{PREFIX}report.{name}" for name in ("charts", "chart_parts", "page", "pictures")}
FOUND = [each.name for each in pkgutil.walk_packages(eco2ai_callbacks.__path__, PREFIX)]
MODULES = ["eco2ai_callbacks", *(name for name in FOUND if name != f"{PREFIX}__main__")]


# These read a log that is there: of a run with one epoch, beside the program and in a folder.
READERS = {f"{PREFIX}{name}" for name in ("report.load", "runlog.verify", "runlog.aggregate")}
# An example that is not executed, and what executes the same call.
SKIPPED = {
    "keras": "tests/fits/test_guides.py",
    "lightning": "tests/fits/test_guides.py",
    "transformers": "tests/fits/test_guides.py",
    "accelerate": "tests/fits/test_guides.py",
    "eco2ai_compat.encode": "tests/unit/eco2ai_compat/test_encode.py, where cryptography is installed",
}


def train() -> None:
    """What examples call a training."""


@each_row([name for name in MODULES if name not in ADAPTERS])
def test_the_examples_hold(name: str) -> None:
    Path(name).mkdir()
    with contextlib.chdir(name):
        for file in ("eco2ai.jsonl", "logs/eco2ai.jsonl") if name in READERS else ():
            with track(project="demo", log_file=file, console=False) as run:
                run.end_epoch(0)
        assert doctest.testmod(importlib.import_module(name), extraglobs={"train": train}).failed == 0


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_the_examples_of_what_needs_an_extra_hold(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as missing:
        pytest.skip(str(missing))
    assert doctest.testmod(module, extraglobs={"train": train}).failed == 0


def test_only_the_named_examples_are_skipped() -> None:
    root = Path(eco2ai_callbacks.__file__).parent
    skipping = [path for path in root.rglob("*.py") if "+SKIP" in path.read_text(encoding="utf-8")]
    assert {".".join(path.relative_to(root).with_suffix("").parts) for path in skipping} == SKIPPED.keys()


def test_examples_are_found() -> None:
    modules = [importlib.import_module(name) for name in MODULES if name not in ADAPTERS]
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert sum(len(each.examples) for module in modules for each in finder.find(module)) > 30
