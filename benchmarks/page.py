"""The generated block of a page."""

from __future__ import annotations

from pathlib import Path

BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"


def replaced(page: str, block: str) -> str:
    """Return a page with another block between its markers.

    Raises:
        ValueError: It has not exactly one block.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(END) < page.index(BEGIN):
        raise ValueError(f"the page needs one block between {BEGIN} and {END}.")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{block.strip()}\n\n{END}{after}"


def write(path: Path, block: str) -> None:
    """Replace the generated block of a file."""
    path.write_text(replaced(path.read_text(encoding="utf-8"), block), encoding="utf-8")
