"""Write what pages of ``docs`` hold of the code itself: settings, fields of the run log, commands.

``python tools/generated_docs.py`` writes each page anew between its two markers; a test holds that they are current.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from importlib.resources import files
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

from eco2ai_callbacks.cli import main
from eco2ai_callbacks.settings import NAMES, Settings, accepted, describe

DOCS = Path(__file__).parents[1] / "docs"


def settings() -> str:
    """Return the settings as a Markdown table."""
    defaults = {field.name: field.default for field in fields(Settings)}
    rows = (f"| `{name}` | `{_shown(defaults[name])}` | {describe(name)} | {accepted(name)} |\n" for name in NAMES)
    return "| name | default | meaning | accepted |\n|---|---|---|---|\n" + "".join(rows)


def log_fields() -> str:
    """Return the fields of a line of the run log as a Markdown table, those of nested objects below their object."""
    schema = json.loads(files("eco2ai_callbacks").joinpath("runlog/schema.json").read_text(encoding="utf-8"))
    rows = (f"| `{name}` | {kind} | {meaning} |\n" for name, kind, meaning in _fields(schema, schema["$defs"]))
    return "| field | type | meaning |\n|---|---|---|\n" + "".join(rows)


def commands() -> str:
    """Return the help of every command as Markdown."""
    return "\n".join(_commands(main, click.Context(main, info_name="eco2ai")))


# The page, the name of its markers, and what stands between them.
GENERATED: dict[str, tuple[str, Callable[[], str]]] = {
    "settings.md": ("settings", settings),
    "run-log.md": ("fields", log_fields),
    "command-line.md": ("commands", commands),
}


def rewritten(text: str, marker: str, part: str) -> str:
    """Return a text with the part between its two markers."""
    begin, end = f"<!-- {marker} -->\n\n", f"\n<!-- /{marker} -->\n"
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"the text has no {begin.strip()} with {end.strip()} after it")
    return f"{before}{begin}{part}{end}{after}"


def _shown(default: object) -> str:
    if isinstance(default, float):
        return f"{default:g}"
    if isinstance(default, Path):
        return f'"{default.as_posix()}"'
    return f'"{default}"' if isinstance(default, str) else str(default)


def _fields(schema: Mapping[str, Any], known: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    for name, written in schema.get("properties", {}).items():
        entry = _resolved(written, known)
        meaning = entry.get("description", "")
        if name in schema.get("required", ()) and not prefix:
            meaning += " In every line."
        yield f"{prefix}{name}", _kind(entry, known), _cell(meaning)
        for form in (entry, *(_resolved(each, known) for each in entry.get("anyOf", ()))):
            yield from _fields(form, known, f"{prefix}{name}.")
            if isinstance(form.get("items"), Mapping):  # false where nothing more may follow
                yield from _fields(_resolved(form["items"], known), known, f"{prefix}{name}[].")
            if isinstance(form.get("additionalProperties"), Mapping):
                yield from _fields(_resolved(form["additionalProperties"], known), known, f"{prefix}{name}.*.")


def _resolved(entry: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an entry of the schema with what it refers to in its place."""
    return {**known[entry["$ref"].rpartition("/")[2]], **entry} if "$ref" in entry else entry


def _kind(entry: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    if "enum" in entry:
        return ", ".join(f"`{json.dumps(value)}`" for value in entry["enum"])
    if "anyOf" in entry:
        return " or ".join(_kind(_resolved(each, known), known) for each in entry["anyOf"])
    kinds = entry.get("type", "any")
    return " or ".join([kinds] if isinstance(kinds, str) else kinds)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;")


def _commands(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n"
    yield f"```text\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    for paragraph in cleandoc(command.help or "").split("\n\n"):
        # click takes over what follows this mark as it stands.
        kept = paragraph.removeprefix("\b\n")
        yield f"```text\n{kept}\n```\n" if kept != paragraph else f"{_cell(paragraph)}\n"
    # A list, not a table: in one, Markdown's dialects read a | inside of code in different ways. Without --help, which
    # click adds to each command when it is first asked for.
    for record in filter(None, (each.get_help_record(context) for each in command.params)):
        # What stands in brackets is a bound or a default, and no link.
        yield f"- `{record[0]}`: {_cell(record[1]).replace('[', chr(92) + '[')}"
    yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, click.Context(inner, info_name=name, parent=context))


if __name__ == "__main__":
    for page, (marker, part) in GENERATED.items():
        path = DOCS / page
        text = rewritten(path.read_text(encoding="utf-8"), marker, part())
        path.write_text(text, encoding="utf-8", newline="\n")
