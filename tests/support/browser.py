"""Open a page in Qt's Chromium without a display, and print what happened as JSON.

    python browser.py page.html 1280 dark

Console messages of warnings and errors, requests, the width that the page needs, the charts that were drawn, and
whether the scheme is dark.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

LOOK = """JSON.stringify({
  wide: document.documentElement.scrollWidth, view: innerWidth,
  charts: document.querySelectorAll(".chart").length,
  drawn: document.querySelectorAll(".chart[data-drawn=yes] svg").length,
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  ground: getComputedStyle(document.body).backgroundColor,
  ran: typeof window.harmed !== "undefined"})"""


def main() -> None:
    """Open the page."""
    path, width, scheme = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    os.environ |= {"QT_QPA_PLATFORM": "offscreen", "QTWEBENGINE_DISABLE_SANDBOX": "1"}
    flags = f"--disable-gpu --no-sandbox --blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
    os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = flags

    from PySide6.QtCore import QTimer, QUrl
    from PySide6.QtWebEngineCore import (
        QWebEnginePage,
        QWebEngineProfile,
        QWebEngineSettings,
        QWebEngineUrlRequestInterceptor,
    )
    from PySide6.QtWebEngineWidgets import QWebEngineView
    from PySide6.QtWidgets import QApplication

    requests: list[str] = []
    messages: list[str] = []

    class Requests(QWebEngineUrlRequestInterceptor):
        def interceptRequest(self, info: Any) -> None:
            requests.append(info.requestUrl().toString()[:200])

    class Page(QWebEnginePage):
        def javaScriptConsoleMessage(self, level: Any, message: str, line: int, source: str) -> None:
            messages.append(f"{level.name}: {message}"[:300])

    app = QApplication(sys.argv[:1])
    profile, requested = QWebEngineProfile(), Requests()
    profile.setUrlRequestInterceptor(requested)
    # A request to the network would be seen, not refused beforehand.
    profile.settings().setAttribute(QWebEngineSettings.WebAttribute.LocalContentCanAccessRemoteUrls, True)
    view, page = QWebEngineView(), Page(profile)
    view.setPage(page)
    view.resize(width, 900)
    view.show()
    tries = 0

    def look(text: str | None) -> None:
        nonlocal tries
        tries += 1
        found = json.loads(text or "{}")
        if tries < 100 and found.get("drawn") != found.get("charts"):
            QTimer.singleShot(200, ask)
            return
        print(json.dumps(found | {"requests": requests, "messages": messages}), flush=True)
        app.quit()

    def ask() -> None:
        page.runJavaScript(LOOK, look)

    page.loadFinished.connect(lambda _: ask())
    page.load(QUrl.fromLocalFile(path))
    app.exec()
    os._exit(0)  # Qt's objects are freed in an order of their own


if __name__ == "__main__":
    main()
