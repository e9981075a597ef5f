"""One field of the YAML metadata at the top of a model card: all else stays as it was written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

# As the Hub finds it: between two lines of three dashes, at the beginning of the file.
_BLOCK = re.compile(
    r"\A(?P<head>\s*---[ \t]*\r?\n)(?P<block>.*?)(?P<end>^---[ \t]*(?:\r?\n|\Z))", re.DOTALL | re.MULTILINE
)


def metadata(text: str) -> str:
    """Return the lines of a card's metadata without the dashes; empty where it has none."""
    found = _BLOCK.match(text)
    return found["block"] if found else ""


def parsed(text: str) -> dict[Any, Any]:
    """Return a card's metadata.

    Raises:
        ImportError: PyYAML is not installed.
        ValueError: It is no YAML, or no mapping.
    """
    return _mapping(metadata(text))


def with_field(text: str, name: str, value: Mapping[str, Any]) -> str:
    """Return a card with one field of its metadata set.

    Only the lines of that field change; it is added below the others where it is not there. Metadata in one line, such
    as ``{license: mit}``, is written again.

    Args:
        text: The card, with or without metadata; empty for a new one.
        name: The field.
        value: What it holds.

    Raises:
        ImportError: PyYAML is not installed.
        ValueError: The card's metadata is no YAML, or no mapping.
    """
    found = _BLOCK.match(text)
    if found is None:
        newline = "\r\n" if "\r\n" in text else "\n"
        return f"---\n{_written(name, value)}---\n".replace("\n", newline) + text
    block, newline = found["block"], "\r\n" if found["head"].endswith("\r\n") else "\n"
    wanted = {**_mapping(block), name: dict(value)}
    new = _replaced(block, name, value, newline)
    if not _holds(new, wanted):
        import yaml

        others = {key: held for key, held in wanted.items() if key != name}
        rest = yaml.safe_dump(others, sort_keys=False, allow_unicode=True) if others else ""
        new = (rest + _written(name, value)).replace("\n", newline)
    return text[: found.start("block")] + new + text[found.end("block") :]


def plain(number: float) -> str:
    """Return a number without an exponent: readers that look for digits would take ``1.8e-07`` for 1.8.

    Example:
        >>> plain(1.8e-07), plain(12.5), plain(3)
        ('0.00000018', '12.5', '3')
    """
    return f"{Decimal(repr(number)):f}"


def _replaced(block: str, name: str, value: Mapping[str, Any], newline: str) -> str:
    """Return metadata with the lines of a field replaced, or added at the end."""
    import yaml

    root = yaml.compose(block, Loader=yaml.SafeLoader)
    indent = " " * (root.start_mark.column if root is not None else 0)
    lines = "".join(f"{indent}{line}\n" for line in _written(name, value).splitlines()).replace("\n", newline)
    spans = [
        (key.start_mark.index - key.start_mark.column, _end_of_line(block, _end(held)))
        for key, held in (root.value if root is not None else ())
        if key.value == name
    ]
    if not spans:
        gap = newline if block and not block.endswith("\n") else ""
        return f"{block}{gap}{lines}"
    # A reader takes the last of several; one is left, where the first one was.
    for start, end in reversed(spans[1:]):
        block = block[:start] + block[end:]
    return block[: spans[0][0]] + lines + block[spans[0][1] :]


def _end(node: Any) -> int:
    """Return where a value ends. A block's own mark is where the next key begins, behind comments of that key."""
    inner = list(_inside(node))
    if inner and not node.flow_style:
        return _end(inner[-1])
    return int(node.end_mark.index)


def _inside(node: Any) -> Iterator[Any]:
    if isinstance(node.value, list):
        for each in node.value:
            yield from each if isinstance(each, tuple) else (each,)


def _end_of_line(block: str, place: int) -> int:
    if place > 0 and block[place - 1] == "\n":
        return place
    found = block.find("\n", place)
    return len(block) if found < 0 else found + 1


def _written(name: str, value: Mapping[str, Any]) -> str:
    """Return a field as YAML, with numbers in plain decimals."""
    import yaml

    lines = [f"{name}:"]
    for key, held in value.items():
        if isinstance(held, float | int) and not isinstance(held, bool):
            lines.append(f"  {key}: {plain(held)}")
        else:
            dumped = yaml.safe_dump({key: held}, sort_keys=False, allow_unicode=True, width=10**6)
            lines.extend(f"  {line}" for line in dumped.splitlines())
    return "\n".join(lines) + "\n"


def _mapping(block: str) -> dict[Any, Any]:
    import yaml

    try:
        found = yaml.safe_load(block)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        # The first line of the file holds the dashes.
        where = f", line {mark.line + 2}" if mark is not None else ""
        raise ValueError(f"its metadata is no YAML{where}: {problem or str(error).splitlines()[0]}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"its metadata is a {type(found).__name__} and no mapping of fields")
    return found


def _holds(block: str, wanted: Mapping[Any, Any]) -> bool:
    try:
        return _mapping(block) == wanted
    except ValueError:
        return False
