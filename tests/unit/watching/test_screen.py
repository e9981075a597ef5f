"""Frames on a terminal."""

from __future__ import annotations

import io

import pytest

from eco2ai_callbacks.watching.frame import Frame, Row

pytest.importorskip("rich")

from rich.console import Console

from eco2ai_callbacks.watching.screen import show, view


def terminal(width: int = 60) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=12, color_system=None)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


FRAME = Frame("run a · demo", "running", (Row("energy", "1 Wh"), Row("budget", "9 Wh left of 10 Wh", 0.1)))


def test_a_frame_is_a_panel_with_bars() -> None:
    console = terminal()
    console.print(view(FRAME))
    lines = text_of(console).splitlines()
    assert "run a · demo" in lines[0]
    assert "energy  1 Wh" in lines[1]
    assert "━" in lines[3]


def test_markup_in_names_is_shown_as_it_is() -> None:
    console = terminal()
    console.print(view(Frame("run [red]x[/red]", "quiet", (Row("metrics", "[link=http://x]a[/link] [/] 1"),))))
    assert "run [red]x[/red]" in text_of(console)
    assert "[link=http://x]a[/link] [/] 1" in text_of(console)


@pytest.mark.parametrize("width", [8, 30, 200])
def test_a_frame_fits_any_width(width: int) -> None:
    console = terminal(width)
    console.print(view(FRAME))
    assert max(map(len, text_of(console).splitlines())) <= width


def test_frames_follow_each_other_and_the_last_one_stays() -> None:
    console, waits = terminal(), []
    show((Frame(f"run {number}", "running") for number in range(3)), lambda: waits.append(1), console)
    text = text_of(console)
    assert len(waits) == 3
    # The screen of its own is left, and the last frame printed behind it.
    left = text.rindex("\x1b[?1049l")
    assert "run 2" in text[left:]
    assert "run 1" not in text[left:]


def test_an_interruption_leaves_the_terminal_as_it_was() -> None:
    console = terminal()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        show(iter([FRAME]), interrupt, console)
    assert text_of(console).count("\x1b[?1049h") == text_of(console).count("\x1b[?1049l") == 1
    assert "\x1b[?25h" in text_of(console)
