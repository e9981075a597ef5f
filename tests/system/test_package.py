"""What is installed: dependencies, extras, data and hints."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import eco2ai_callbacks
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.settings import NAMES, SettingsArgs

PACKAGE = distribution("eco2ai-callbacks")


def requirements(extra: str | None) -> set[str]:
    found = set()
    for line in PACKAGE.requires or []:
        name = re.match(r"[\w-]+", line)
        marked = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        if (marked[1] if marked else None) == extra and name:
            found.add(name[0])
    return found


def test_the_required_dependencies_are_three() -> None:
    assert requirements(None) == {"psutil", "nvidia-ml-py", "click"}


def test_the_extras_are_there() -> None:
    extras = set(PACKAGE.metadata.get_all("Provides-Extra") or [])
    assert extras >= {"lightning", "transformers", "keras", "accelerate", "all"}
    for extra in extras:
        assert requirements(extra)


def test_data_and_hints_are_installed_and_raw_facts_are_not() -> None:
    root = files("eco2ai_callbacks")
    assert (root / "py.typed").is_file()
    for name in ("meters/cpu/data/cpu.tsv", "carbon/data/factors.tsv", "carbon/data/places.tsv", "runlog/schema.json"):
        assert (root / name).is_file(), name
    installed = [str(path) for path in PACKAGE.files or []]
    assert not [path for path in installed if path.endswith((".csv", "build.py"))]


def test_the_notice_and_the_licence_are_installed() -> None:
    assert {"LICENSE", "NOTICE"} <= set(PACKAGE.metadata.get_all("License-File") or [])


def test_editors_know_every_setting() -> None:
    assert tuple(SettingsArgs.__annotations__) == NAMES
    assert issubclass(SettingsError, ValueError)


def test_the_version_is_that_of_what_is_installed() -> None:
    assert eco2ai_callbacks.__version__ == PACKAGE.version
    cited = (Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PACKAGE.version}\n" in cited
