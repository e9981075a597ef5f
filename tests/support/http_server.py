"""A local HTTP server whose replies a test scripts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """The server's address, and what it was asked: paths with their parameters, headers, and what was posted."""

    base: str
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    """Run a server that answers each request by a function."""
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.paths.append(self.path)
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.released = released
            with suppress(BrokenPipeError, ConnectionResetError):  # the client leaves, as it should
                answer(self)

        def do_POST(self) -> None:
            server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{httpd.server_address[1]}")
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        released.set()
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def sends(value: Any = None, *, status: int = 200, raw: bytes | None = None, **headers: str) -> Answer:
    """Return an answer with a JSON value or raw bytes; headers with ``_`` for ``-``."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        content = json.dumps(value).encode() if raw is None else raw
        if "Date" in headers:
            handler.send_response_only(status)
        else:
            handler.send_response(status)
        for name, text in headers.items():
            handler.send_header(name.replace("_", "-"), text)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer
