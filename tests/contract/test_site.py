"""The documentation's site: its parts that are generated are current, and its navigation leads to every page."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.cli import main
from eco2ai_callbacks.settings import NAMES

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
MARKERS = {"settings.md": "settings", "run-log.md": "fields", "command-line.md": "commands"}


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(REPOSITORY / "tools" / "generated_docs.py"))


def test_each_generated_page_has_its_line_here(tool: dict[str, Any]) -> None:
    assert {page: marker for page, (marker, _) in tool["GENERATED"].items()} == MARKERS


@pytest.mark.parametrize("page", MARKERS)
def test_a_generated_page_is_current(tool: dict[str, Any], page: str) -> None:
    marker, part = tool["GENERATED"][page]
    text = (DOCS / page).read_text(encoding="utf-8")
    assert tool["rewritten"](text, marker, part()) == text, "run tools/generated_docs.py"


def test_the_table_has_a_row_for_each_setting(tool: dict[str, Any]) -> None:
    _, _, *rows = tool["settings"]().splitlines()
    assert [row.split("`")[1] for row in rows] == list(NAMES)
    assert all(row.count("|") == 5 for row in rows)


def test_the_fields_name_those_inside_of_objects(tool: dict[str, Any]) -> None:
    _, _, *rows = tool["log_fields"]().splitlines()
    names = [row.split("`")[1] for row in rows]
    assert {"run", "total.energy_kwh", "sources[].devices[].uuid", "intensity.g_per_kwh"} <= set(names)
    assert len(names) == len(set(names))
    assert all(row.count("|") == 4 for row in rows)


def test_the_commands_are_all_there_with_their_options(tool: dict[str, Any]) -> None:
    text = tool["commands"]()
    for name, command in main.commands.items():
        _, _, section = text.partition(f"\n## eco2ai {name}\n")
        assert section, name
        for option in (each for param in command.params for each in param.opts if each.startswith("--")):
            assert f"{option}" in section, option


@pytest.mark.parametrize("text", ["", "<!-- settings -->\n\n", "\n<!-- /settings -->\n"])
def test_without_its_markers_a_part_has_no_place(tool: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match="the text has no <!-- settings --> with <!-- /settings --> after it"):
        tool["rewritten"](text, "settings", "a table")


def test_the_navigation_leads_to_every_page_once() -> None:
    _, _, navigation = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")
    named = re.findall(r"- ([\w-]+\.md)$", navigation, re.MULTILINE)
    assert sorted(named) == sorted(page.name for page in DOCS.glob("*.md"))


def test_the_site_s_settings_load_nothing_from_elsewhere() -> None:
    text = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in text
    assert "http" not in text
    assert "mermaid" not in text


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ('<a href="b.html#there">b</a> <a href="https://example.org/x">x</a> <img src="c.png">', None),
        ('<a href="d.html">d</a>', "a.html has a link to d.html, which is not there"),
        ('<a href="b.html#gone">b</a>', "a.html has a link to b.html#gone, which is not there"),
        ('<a href="../b.html">b</a>', "a.html has a link to ../b.html, which is not there"),
        ('<script src="https://example.org/x.js"></script>', "a.html loads https://example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "a.html loads //example.org/x.css"),
    ],
    ids=["whole", "no page", "no anchor", "outside", "script", "style"],
)
def test_the_check_of_the_site_finds_a_fault(tmp_path: Path, written: str, fault: str | None) -> None:
    check = runpy.run_path(str(REPOSITORY / "tools" / "check_site.py"))
    (tmp_path / "a.html").write_text(written)
    (tmp_path / "b.html").write_text('<h2 id="there">b</h2>')
    (tmp_path / "c.png").write_bytes(b"")
    assert list(check["faults"](tmp_path)) == ([] if fault is None else [fault])


def test_the_check_of_the_site_looks_into_styles(tmp_path: Path) -> None:
    check = runpy.run_path(str(REPOSITORY / "tools" / "check_site.py"))
    (tmp_path / "a.html").write_text("")
    (tmp_path / "a.css").write_text("@font-face { src: url('https://example.org/x.woff2') } b { src: url(c.png) }")
    assert list(check["faults"](tmp_path)) == ["a.css loads https://example.org/x.woff2"]
    assert check["main"](str(tmp_path)) == 1
