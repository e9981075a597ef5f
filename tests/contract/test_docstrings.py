"""Every example in a docstring gives what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import eco2ai_callbacks

PREFIX = "eco2ai_callbacks."
# These begin with the import of a framework, or of what an extra installs, which may be missing.
ADAPTERS = {f"{PREFIX}{name}" for name in ("lightning", "transformers", "keras", "accelerate")}
ADAPTERS |= {f"{PREFIX}integrations.{name}" for name in ("hf_last", "lightning_callbacks")}
ADAPTERS |= {f"{PREFIX}report.{name}" for name in ("charts", "chart_parts", "page", "pictures")}
FOUND = [each.name for each in pkgutil.walk_packages(eco2ai_callbacks.__path__, PREFIX)]
MODULES = ["eco2ai_callbacks", *(name for name in FOUND if name != f"{PREFIX}__main__")]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_hold(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as missing:
        if name not in ADAPTERS:
            raise
        pytest.skip(str(missing))
    assert doctest.testmod(module).failed == 0


def test_examples_are_found() -> None:
    modules = [importlib.import_module(name) for name in MODULES if name not in ADAPTERS]
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert sum(len(each.examples) for module in modules for each in finder.find(module)) > 30
