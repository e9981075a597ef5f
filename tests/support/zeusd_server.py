"""A daemon like zeusd on a Unix socket, for counters that a test drives."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Daemon:
    """What the daemon shows; ``say`` replaces its answers: status and body."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cpu_uj = {0: 1_000_000, 1: 2_000_000}
        self.dram_uj = {0: 500_000}
        self.say: tuple[int, bytes] | None = None
        self.asked: list[str] = []

    def answer(self, question: str) -> tuple[int, bytes]:
        self.asked.append(question)
        if self.say is not None:
            return self.say
        parts = urlsplit(question)
        found: Any
        if parts.path == "/discover":
            found = {
                "gpu_ids": [],
                "cpu_ids": list(self.cpu_uj),
                "dram_available": [cpu in self.dram_uj for cpu in self.cpu_uj],
                "enabled_api_groups": ["cpu-read"],
            }
        else:
            assert parts.path == "/cpu/get_cumulative_energy"
            query = parse_qs(parts.query, strict_parsing=True)
            cpu = int(query["cpu_ids"][0])
            cpu_uj = self.cpu_uj[cpu] if query["cpu"] == ["true"] else None
            dram_uj = self.dram_uj.get(cpu) if query["dram"] == ["true"] else None
            found = {str(cpu): {"cpu_energy_uj": cpu_uj, "dram_energy_uj": dram_uj}}
        return 200, json.dumps(found).encode()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def zeusd(path: Path) -> Iterator[Daemon]:
    """Serve a daemon on a socket."""
    daemon = Daemon(path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = daemon.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    path.parent.mkdir(parents=True, exist_ok=True)
    with _Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield daemon
        finally:
            server.shutdown()
            thread.join()
            path.unlink(missing_ok=True)
