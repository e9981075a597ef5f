"""The page of a report in a browser: it draws all charts, and asks the network for nothing."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from report_logs import folder, hostile

from eco2ai_callbacks.report.load import load

page = pytest.importorskip("eco2ai_callbacks.report.page", reason="needs the extra report", exc_type=ImportError).page
pytest.importorskip("PySide6")
if importlib.util.find_spec("PySide6.QtWebEngineWidgets") is None:
    pytest.skip("no browser: pip install pyside6-webengine", allow_module_level=True)


BROWSER = Path(__file__).parents[1] / "support" / "browser.py"


def opened(path: Path, width: int, scheme: str) -> dict[str, Any]:
    command = [sys.executable, str(BROWSER), str(path.resolve()), str(width), scheme]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("logs", "width", "scheme"), [("good", 1280, "light"), ("good", 390, "dark"), ("hostile", 390, "light")]
)
def test_a_page_draws_all_charts_and_asks_for_nothing(logs: str, width: int, scheme: str) -> None:
    path = Path("page.html")
    text = page(load(folder() if logs == "good" else hostile()))
    path.write_text(text.replace("alert(1)", "window.harmed=1"), encoding="utf-8")
    found = opened(path, width, scheme)
    assert found["messages"] == []
    assert found["requests"] == [path.resolve().as_uri()]
    assert found["drawn"] == found["charts"] > 5
    assert not found["ran"]
    assert found["dark"] is (scheme == "dark")
    assert found["ground"] == ("rgb(13, 17, 23)" if scheme == "dark" else "rgb(245, 247, 250)")
    # Nothing is wider than the screen: wide tables scroll by themselves.
    assert found["wide"] <= found["view"]
