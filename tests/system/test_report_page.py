"""The page of a report in Chromium: it draws all charts, fits each screen, works by keyboard, and asks for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, Tab, chromium, program
from report_logs import folder, hostile

from eco2ai_callbacks.report.load import load

page = pytest.importorskip("eco2ai_callbacks.report.page", reason="needs the extra report", exc_type=ImportError).page
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="no Chromium; Debian's package is chromium"),
]

GROUNDS = {"dark": "rgb(13, 17, 23)", "light": "rgb(245, 247, 250)"}
DRAWN = "document.querySelectorAll('.chart[data-drawn=yes] svg').length === document.querySelectorAll('.chart').length"
LOOK = """({
  wide: document.documentElement.scrollWidth, view: document.documentElement.clientWidth,
  charts: document.querySelectorAll(".chart").length,
  flat: [...document.querySelectorAll(".chart svg")].filter(s => s.getBoundingClientRect().height < 40).length,
  marks: [...document.querySelectorAll(".chart svg")].map(s => s.querySelectorAll(".role-mark *").length),
  tables: [...document.querySelectorAll("figure")].map(f => f.querySelectorAll("details table tbody tr").length),
  ground: getComputedStyle(document.body).backgroundColor,
  harmed: typeof window.harmed !== "undefined"})"""
# What has the focus: its name for a person, and whether its outline can be seen.
FOCUS = """(e => ({tag: e.tagName, text: (e.getAttribute("aria-label") || e.innerText || "").slice(0, 60),
  seen: getComputedStyle(e).outlineStyle !== "none" && parseFloat(getComputedStyle(e).outlineWidth) >= 2,
  on_screen: e.getBoundingClientRect().right > 0 && e.getBoundingClientRect().left < innerWidth})
  )(document.activeElement)"""
# What can be reached by the tabulator key, in its order; what is folded up cannot.
REACHED = (
    """[...document.querySelectorAll("a[href], summary, [tabindex='0']")].filter(e => e.checkVisibility()).length"""
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages of good and of hostile logs."""
    place = tmp_path_factory.mktemp("pages")
    found = {}
    for name, write in (("good", folder), ("hostile", hostile)):
        text = page(load(write(place / name)))
        found[name] = place / f"{name}.html"
        found[name].write_text(text.replace("alert(1)", "window.harmed=1"), encoding="utf-8")
    return found


def looked_at(tab: Tab) -> dict[str, Any]:
    tab.wait_for(DRAWN)
    found: dict[str, Any] = tab.evaluate(LOOK)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("logs", ["good", "hostile"])
def test_it_draws_all_charts_and_asks_for_nothing(
    browser: Browser, pages: dict[str, Path], logs: str, width: int, scheme: str
) -> None:
    tab = browser.open(pages[logs], width, scheme)
    found = looked_at(tab)
    assert tab.messages == []
    assert tab.requests == [pages[logs].as_uri()]
    assert found["charts"] > 5
    assert found["flat"] == 0
    assert min(found["marks"]) > 0
    assert len(found["tables"]) == found["charts"]
    assert min(found["tables"]) > 0
    assert not found["harmed"]
    assert found["ground"] == GROUNDS[scheme]
    # Nothing is wider than the screen: wide tables scroll by themselves.
    assert found["view"] == width
    assert found["wide"] <= width
    tab.close()


def test_each_control_is_reached_by_keyboard_and_shows_its_focus(browser: Browser, pages: dict[str, Path]) -> None:
    tab = browser.open(pages["good"], 1280, "light")
    tab.wait_for(DRAWN)
    reached = tab.evaluate(REACHED)
    assert reached > 20
    for number in range(reached):
        tab.press("Tab", 9)
        focus = tab.evaluate(FOCUS)
        assert focus["tag"] != "BODY", number
        assert focus["seen"], focus
        assert focus["on_screen"], focus
        assert focus["text"], focus
        if number == 0:
            assert focus["text"] == "Skip to the report"
    tab.close()


def test_a_table_opens_by_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    tab = browser.open(pages["good"], 390, "dark")
    tab.wait_for(DRAWN)
    tab.evaluate("document.querySelector('figure summary').focus()")
    assert not tab.evaluate("document.activeElement.parentNode.open")
    tab.press("Enter", 13)
    assert tab.evaluate("document.activeElement.parentNode.open")
    assert tab.evaluate("document.activeElement.parentNode.querySelector('table').checkVisibility()")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.close()


def test_in_print_it_is_light_and_has_no_menu(browser: Browser, pages: dict[str, Path]) -> None:
    tab = browser.open(pages["good"], 1280, "dark")
    tab.wait_for(DRAWN)
    tab.send("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not tab.evaluate("document.querySelector('nav').checkVisibility()")
    tab.close()


def test_a_request_and_a_message_would_be_seen(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    text = pages["good"].read_text(encoding="utf-8")
    bad = tmp_path / "bad.html"
    bad.write_text(
        text.replace("<footer>", '<img src="http://127.0.0.1:9/x.png"><script>undefined.a</script><footer>'), "utf-8"
    )
    tab = browser.open(bad, 1280, "light")
    tab.wait_for(DRAWN)
    assert any("img-src" in each for each in tab.messages)
    assert any("undefined" in each for each in tab.messages)
    # Without the page's own policy the request would be made.
    bad.write_text('<img src="http://127.0.0.1:9/x.png">', "utf-8")
    other = browser.open(bad, 1280, "light")
    assert "http://127.0.0.1:9/x.png" in other.requests
    tab.close()
    other.close()
