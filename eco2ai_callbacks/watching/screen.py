"""Frames on a terminal, by Rich: in place, at whatever size the terminal has."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from eco2ai_callbacks.watching.frame import ENDED, QUIET, RUNNING, Frame

_COLOURS = {RUNNING: "green", ENDED: "blue", QUIET: "yellow"}
_BAR = 24


def view(frame: Frame) -> Panel:
    """Return a frame as what Rich draws. Names are no markup: a log may hold anything."""
    colour = _COLOURS.get(frame.state, "white")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in frame.rows:
        value: Text | Group = Text(row.value, style=colour if row.name == "state" else "")
        if row.share is not None:
            value = Group(value, ProgressBar(total=1.0, completed=min(1.0, row.share), width=_BAR))
        table.add_row(Text(row.name, style="dim"), value)
    return Panel(table, title=Text(frame.title), title_align="left", border_style=colour)


def show(frames: Iterable[Frame], wait: Callable[[], None], console: Console | None = None) -> None:
    """Show frames one after the other on a screen of their own; the last one stays when that is left.

    A screen of its own is drawn anew as a whole, whatever size the terminal was given meanwhile.

    Args:
        frames: The frames.
        wait: Called between two frames.
        console: The terminal; standard output by default.
    """
    terminal = console or Console()
    last: Frame | None = None
    try:
        with Live(console=terminal, auto_refresh=False, screen=True) as live:
            for frame in frames:
                last = frame
                live.update(view(frame), refresh=True)
                wait()
    finally:
        if last is not None:
            terminal.print(view(last))
