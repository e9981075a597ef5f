"""Write the settings table of README.md from the schema: ``python tools/settings_table.py``."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from eco2ai_callbacks.settings import NAMES, Settings, accepted, describe

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- settings -->\n\n", "\n<!-- /settings -->\n"


def table() -> str:
    """Return the settings as a Markdown table."""
    defaults = {field.name: field.default for field in fields(Settings)}
    rows = (f"| `{name}` | `{_shown(defaults[name])}` | {describe(name)} | {accepted(name)} |\n" for name in NAMES)
    return "| name | default | meaning | accepted |\n|---|---|---|---|\n" + "".join(rows)


def rewritten(text: str) -> str:
    """Return a text with the table between its two markers."""
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"the text has no {BEGIN.strip()} with {END.strip()} after it")
    return f"{before}{BEGIN}{table()}{END}{after}"


def _shown(default: object) -> str:
    if isinstance(default, float):
        return f"{default:g}"
    if isinstance(default, Path):
        return f'"{default.as_posix()}"'
    return f'"{default}"' if isinstance(default, str) else str(default)


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
