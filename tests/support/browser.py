"""A headless Chromium that is driven by its own protocol over two pipes: no port, no driver, no library.

Protocol: https://chromedevtools.github.io/devtools-protocol/ (messages are JSON, each with a zero byte at its end).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
# It must not look for updates, ask for anything beside the page, or need a GPU, a user's folder or a sandbox as root.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe", "about:blank"),
)
# Makes the pipes the descriptors 3 and 4, which Chromium reads commands from and writes answers to.
_LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
# Seconds for one answer, on a machine on which all cores are busy.
_PATIENCE_S = 120.0


def program() -> str | None:
    """Return the path of a Chromium; ``None`` where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page in a browser, and what it has asked for and complained of."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.requests: list[str] = []
        self.messages: list[str] = []

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol; return its result."""
        return self._browser.send(method, params, self._session)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, awaited where it is a promise."""
        done = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        look = f"new Promise(d => {{ const t = () => ({expression}) ? d(true) : setTimeout(t, 50); t(); }})"
        assert self.evaluate(look)

    def press(self, key: str, code: int, modifiers: int = 0) -> None:
        """Press a key and let it go."""
        text = {"text": "\r"} if key == "Enter" else {}
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def close(self) -> None:
        """Close the page."""
        self.send("Page.close")

    def heard(self, method: str, params: dict[str, Any]) -> None:
        """Take an event."""
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"][:200])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("warning", "error", "assert"):
            self.messages.append(str([each.get("value", each.get("description")) for each in params["args"]])[:300])
        elif method == "Runtime.exceptionThrown":
            thrown = params["exceptionDetails"]
            self.messages.append(str(thrown.get("exception", {}).get("description") or thrown["text"])[:300])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("warning", "error"):
            self.messages.append(params["entry"]["text"][:300])


class Browser:
    """A Chromium that was started."""

    def __init__(self, process: subprocess.Popen[bytes], commands: int, answers: int) -> None:
        self._process = process
        self._commands, self._answers = commands, answers
        self._rest = b""
        self._number = 0
        self._tabs: dict[str, Tab] = {}

    def open(self, page: Path, width: int, scheme: str, height: int = 900) -> Tab:
        """Open a page at a width, in the light or dark scheme; return once it is loaded."""
        target = self.send("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        tab = self._tabs[session] = Tab(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.send(f"{domain}.enable")
        phone = width < 600
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        tab.send("Emulation.setDeviceMetricsOverride", **size)
        tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        tab.send("Page.navigate", url=page.resolve().as_uri())
        tab.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")
        return tab

    def send(self, method: str, params: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        """Send a command; take the events that come before its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data) :]
        for answer in self._messages():
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            if answer.get("sessionId") in self._tabs:
                self._tabs[answer["sessionId"]].heard(answer["method"], answer["params"])
        raise AssertionError(f"{method}: Chromium has ended")

    def _messages(self) -> Iterator[dict[str, Any]]:
        until = time.monotonic() + _PATIENCE_S
        while True:
            message, found, rest = self._rest.partition(b"\0")
            if found:
                self._rest = rest
                yield json.loads(message)
                continue
            ready, _, _ = select.select([self._answers], [], [], until - time.monotonic())
            assert ready, f"Chromium has not answered for {_PATIENCE_S:g} s"
            data = os.read(self._answers, 2**20)
            if not data:
                return
            self._rest += data

    def close(self) -> None:
        """End it."""
        self.send("Browser.close", {})
        self._process.wait(_PATIENCE_S)


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Start a Chromium whose profile and home are in an empty folder; end it."""
    path = program()
    assert path is not None
    inner_in, commands = os.pipe()
    answers, inner_out = os.pipe()
    # Neither may be 3 or 4, which the other would take the place of.
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (inner_in, inner_out)]
    os.close(inner_in)
    os.close(inner_out)
    command = [sys.executable, "-I", "-c", _LAUNCH, *map(str, theirs), path, f"--user-data-dir={folder}", *FLAGS]
    environ = os.environ | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    with (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(command, pass_fds=theirs, env=environ, stdout=stderr, stderr=stderr)
    for end in theirs:
        os.close(end)
    browser = Browser(process, commands, answers)
    try:
        yield browser
        browser.close()
    finally:
        process.kill()
        process.wait()
        os.close(commands)
        os.close(answers)
