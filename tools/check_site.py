"""Check the built site without a network: ``python tools/check_site.py site``.

Every link, anchor, picture, script and style must lead to a file of the site, and no page may load anything from
elsewhere. Links that a reader follows may lead elsewhere.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The addresses in a page: what it loads by itself, what a reader can follow, and the anchors that it has."""

    # The attributes by which an element loads something when a page is shown.
    LOADS: ClassVar = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "video": "src"}
    # A link element that loads nothing: it names the page's own address, or its neighbours.
    NAMES: ClassVar = {"canonical", "next", "prev", "alternate"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.follows: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in ("id", "name"):
            self.anchors.add(given.get(name) or "")
        address = given.get(self.LOADS.get(tag, ""))
        if address and given.get("rel") not in self.NAMES:
            self.loads.append(address)
        if tag == "a" and given.get("href"):
            self.follows.append(given["href"] or "")


@cache
def read(path: Path) -> Page:
    """Return a page of the site."""
    return Page(path.read_text(encoding="utf-8"))


def faults(root: Path) -> Iterator[str]:
    """Yield one sentence for each address that leads nowhere or is loaded from elsewhere."""
    for path in sorted(root.rglob("*.html")):
        page = read(path)
        for address in page.loads:
            if urlsplit(address).netloc:
                yield f"{path.relative_to(root)} loads {address}"
        for address in page.loads + page.follows:
            if path.name != "404.html" and not _leads(root, path, address):
                yield f"{path.relative_to(root)} has a link to {address}, which is not there"
    for path in sorted(root.rglob("*.css")):
        for address in re.findall(r"url\(['\"]?((?:https?:)?//[^'\")]+)", path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(root)} loads {address}"


def _leads(root: Path, path: Path, address: str) -> bool:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return True
    target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
    if target.is_dir():
        target /= "index.html"
    if not (target.is_file() and target.is_relative_to(root)):
        return False
    return not parts.fragment or target.suffix != ".html" or unquote(parts.fragment) in read(target).anchors


def main(folder: str) -> int:
    """Print what is wrong with a site; return the exit status."""
    root = Path(folder).resolve()
    pages = sum(1 for _ in root.rglob("*.html"))
    found = list(faults(root))
    print("\n".join([*found, f"{pages} pages, {len(found)} faults"]))
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
