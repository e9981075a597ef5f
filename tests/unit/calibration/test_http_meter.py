from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from eco2ai_callbacks.calibration.http_meter import PRESETS, HttpMeter, MeterError, meter_for

SECRET = "admin:pa55w0rd"


class Plug:
    """A meter on this machine that answers as a test wants, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 200, {}, json.dumps({"power": 42.5}).encode()
        self.asked: list[tuple[str, str | None]] = []
        self.before: Callable[[], None] = lambda: None
        plug = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                plug.asked.append((self.path, self.headers["Authorization"]))
                plug.before()
                self.send_response(plug.status)
                for name, value in plug.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(plug.body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def plug() -> Iterator[Plug]:
    server = Plug()
    yield server
    server.close()


def test_a_number_in_the_answer_is_the_power(plug: Plug) -> None:
    assert HttpMeter(f"{plug.url}/status?x=1", "power").read() == 42.5
    assert HttpMeter(plug.url, "power", scale=1000.0).read() == 42_500.0
    assert plug.asked == [("/status?x=1", None), ("/", None)]


ANSWERS = {
    "shelly": {"apower": 12.5},
    "shelly1": {"power": 12.5},
    "tasmota": {"StatusSNS": {"ENERGY": {"Power": 12.5}}},
    "redfish": {"PowerControl": [{"PowerConsumedWatts": 12.5}]},
}


@pytest.mark.parametrize("kind", PRESETS)
def test_known_meters_need_no_more_than_their_host(plug: Plug, kind: str) -> None:
    plug.body = json.dumps(ANSWERS[kind]).encode()
    assert meter_for(kind, plug.url, None).read() == 12.5
    assert meter_for(kind, f"{plug.url}/", None).read() == 12.5
    assert [path for path, _ in plug.asked] == [PRESETS[kind].address] * 2


def test_an_address_and_a_path_of_one_s_own_win(plug: Plug) -> None:
    plug.body = b'{"other": 3}'
    assert meter_for("redfish", f"{plug.url}/redfish/v1/Chassis/2/Power", "other").read() == 3.0
    assert plug.asked[0][0] == "/redfish/v1/Chassis/2/Power"


@pytest.mark.parametrize("inside", [True, False], ids=["in the address", "apart"])
def test_a_credential_is_sent_and_never_shown(plug: Plug, inside: bool) -> None:
    url = plug.url.replace("//", f"//{SECRET}@") if inside else plug.url
    meter = HttpMeter(f"{url}/x?token=t0k3n", "nowhere", user="" if inside else SECRET)
    with pytest.raises(MeterError) as error:
        meter.read()
    assert plug.asked[0][1] == "Basic " + base64.b64encode(SECRET.encode()).decode()
    for text in (str(error.value), meter.shown, "" if inside else repr(meter)):
        assert "pa55w0rd" not in text
        assert "t0k3n" not in text
    assert error.value.__suppress_context__


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (401, b"", "answered 401: set ECO2AI_METER_USER to user:password"),
        (404, b"", "answered 404"),
        (200, b"<html>", "answered with no JSON"),
        (200, b"{}", "the answer has nothing at 'power'"),
        (200, b'{"power": "n/a"}', "the answer has no number at 'power'"),
        (200, b"[" * 100_000, "answered with no JSON"),
        (200, b" " * (2**20 + 1), "answered with more than 1 MiB"),
    ],
    ids=["refused", "missing", "html", "empty", "text", "deep", "endless"],
)
def test_an_answer_without_a_power_is_an_error(plug: Plug, status: int, body: bytes, why: str) -> None:
    plug.status, plug.body = status, body
    with pytest.raises(MeterError, match=f"^{plug.url}/x"):
        HttpMeter(f"{plug.url}/x", "power").read()
    with pytest.raises(MeterError, match=why):
        HttpMeter(f"{plug.url}/x", "power").read()


def test_no_redirection_is_followed(plug: Plug) -> None:
    plug.status, plug.headers = 302, {"Location": f"{plug.url}/elsewhere"}
    with pytest.raises(MeterError, match="redirections are not followed"):
        HttpMeter(plug.url, "power", user=SECRET).read()
    assert [path for path, _ in plug.asked] == ["/"]


def test_silence_ends_with_the_time_out(plug: Plug) -> None:
    over = threading.Event()
    plug.before = lambda: over.wait(5)
    try:
        with pytest.raises(MeterError, match="did not answer: timed out"):
            HttpMeter(plug.url, "power", timeout_s=0.05).read()
    finally:
        over.set()


def test_a_host_that_is_not_there_is_an_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(MeterError, match="did not answer: Connection refused"):
        HttpMeter(f"http://127.0.0.1:{port}", "power").read()


@pytest.mark.parametrize(
    "url", ["", "file:///etc/passwd", "ftp://host/", "http://", "http://host:x/", "host", "http://[::1"]
)
def test_what_is_no_address_of_a_meter_is_refused(url: str) -> None:
    with pytest.raises(MeterError, match=r"accepted is http://HOST/... or https://HOST/..."):
        HttpMeter(url, "power")
    with pytest.raises(MeterError, match="accepted is http"):
        meter_for("shelly", url, None)


def test_a_meter_without_a_path_is_refused() -> None:
    with pytest.raises(MeterError, match="leads nowhere"):
        meter_for("json", "http://host/x", None)


def test_no_proxy_of_the_environment_gets_the_request(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert HttpMeter(plug.url, "power").read() == 42.5
