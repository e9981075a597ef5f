"""The fenced blocks of Markdown pages, and a page's examples run from top to bottom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def section(self) -> str:
        """The heading of the second level above the block; empty above the first one."""
        above = self.page.read_text(encoding="utf-8").splitlines()[: self.line]
        return next((line.removeprefix("## ") for line in reversed(above) if line.startswith("## ")), "")

    def compiled(self) -> object:
        # Its lines are numbered as in the page.
        return compile("\n" * self.line + self.text, str(self.page), "exec", dont_inherit=True)


def blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    fences = [number for number, line in enumerate(lines) if line.startswith("```")]
    assert len(fences) % 2 == 0, f"{page.name}: a block has no end"
    for begin, end in zip(fences[::2], fences[1::2], strict=True):
        language = lines[begin].removeprefix("```").strip()
        yield Block(page, begin + 1, language, "\n".join(lines[begin + 1 : end]) + "\n")


def run_guide(page: Path, **given: object) -> int:
    """Run a page's Python blocks one after the other in one namespace, and return how many there were.

    Args:
        page: The page.
        given: What its reader has already, such as a model and its data.
    """
    names = {"__name__": "guide", **given}
    examples = [block for block in blocks(page) if block.language == "python"]
    for block in examples:
        exec(block.compiled(), names)  # type: ignore[call-overload]
    return len(examples)


def run_section(page: Path, section: str, **given: object) -> dict[str, object]:
    """Run a section's Python blocks one after the other in one namespace, and return that.

    Args:
        page: The page.
        section: The section's heading.
        given: What its reader has already, such as a model and its data.
    """
    names: dict[str, object] = {"__name__": "guide", **given}
    examples = [block for block in blocks(page) if block.language == "python" and block.section == section]
    assert examples, f"{page.name} has no example under {section!r}"
    for block in examples:
        exec(block.compiled(), names)  # type: ignore[call-overload]
    return names
