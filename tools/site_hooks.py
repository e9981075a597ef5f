"""mkdocs runs this while it builds the site: roles in docstrings become the names that they mark."""

from __future__ import annotations

import re
from typing import Any

# :class:`~eco2ai_callbacks.settings.Settings` as Markdown leaves it, and the part of the name that is shown.
_ROLE = re.compile(r":(?:class|func|meth|mod|attr|exc):<code>(?:~[\w.]*\.)?([\w.]+)</code>")


def on_page_content(html: str, **_: Any) -> str:
    """Return a page's HTML with each role as code."""
    return _ROLE.sub(r"<code>\1</code>", html)
