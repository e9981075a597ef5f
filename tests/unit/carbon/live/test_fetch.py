"""Requests to live sources, against a local server that misbehaves."""

from __future__ import annotations

import dataclasses
import email.utils
import importlib.util
import logging
import time
import traceback
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from http_server import sends, serving

from eco2ai_callbacks.carbon.live import fetch
from eco2ai_callbacks.carbon.live.fetch import LONGEST_WAIT_S, REFUSED_WAIT_S, Reply, check_extra, get
from eco2ai_callbacks.carbon.live.source import Request, Unusable
from eco2ai_callbacks.errors import SettingsError

SECRET = "s3cr3t-t0ken"


def asked(base: str, **limits: float) -> Reply:
    return get(Request(f"{base}/figures", {"zone": "FR"}, {"auth-token": SECRET}), **limits)


def refused(answer: Any, **limits: float) -> Unusable:
    """The reason why a reply is of no use; no trace of it holds the token."""
    with serving(answer) as server, pytest.raises(Unusable) as error:
        asked(server.base, **limits)
    shown = "".join(traceback.format_exception(error.value)) + repr(error.value)
    assert SECRET not in shown
    assert "\n" not in str(error.value)
    return error.value


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"httpx": None, "platformdirs": object()}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found[name])
    with pytest.raises(SettingsError, match=r'need httpx: pip install "eco2ai_callbacks\[live\]"'):
        check_extra()
    found["httpx"] = object()
    check_extra()


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        (None, None),
        ("120", 120.0),
        ("0", 60.0),
        ("999999", LONGEST_WAIT_S),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 60.0),
    ],
)
def test_how_long_to_wait_is_believed_within_bounds(header: str | None, wait_s: float | None) -> None:
    assert fetch._wait_s(header) == wait_s


def test_a_date_to_wait_for_is_understood() -> None:
    later = email.utils.formatdate(time.time() + 600, usegmt=True)
    assert fetch._wait_s(later) == pytest.approx(600, abs=5)


class TestServer:
    @pytest.fixture(autouse=True)
    def _needs_httpx(self) -> None:
        pytest.importorskip("httpx")

    def test_a_reply_is_its_json_with_the_clock_s_lead(self) -> None:
        with serving(sends({"a": 1})) as server:
            reply = asked(server.base)
        assert (reply.value, abs(reply.ahead_s) < 5) == ({"a": 1}, True)
        assert server.paths == ["/figures?zone=FR"]
        assert server.headers[0]["auth-token"] == SECRET

    def test_a_token_among_the_parameters_is_sent_and_in_no_log(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        request = Request("", {"zone": "FR"}, secret_params={"token": SECRET}, is_json=False)
        with serving(sends(raw="<é/>".encode())) as server:
            reply = get(dataclasses.replace(request, url=f"{server.base}/figures"))
        assert reply.value == "<é/>"
        assert server.paths == [f"/figures?zone=FR&token={SECRET}"]
        assert SECRET not in caplog.text + repr(request)
        # Others' requests are in that log as before.
        assert not logging.getLogger("httpx").filters
        logging.getLogger("httpx").info("a request of somebody else")
        assert "somebody else" in caplog.text

    def test_a_clock_that_is_wrong_shows(self) -> None:
        late = email.utils.formatdate(time.time() - 7200, usegmt=True)
        with serving(sends({}, Date=late)) as server:
            assert asked(server.base).ahead_s == pytest.approx(7200, abs=5)
        with serving(sends({}, Date="yesterday")) as server:
            assert asked(server.base).ahead_s == 0.0

    @pytest.mark.parametrize(
        ("status", "headers", "why", "wait_s"),
        [
            (401, {}, "it refuses the token (HTTP 401)", REFUSED_WAIT_S),
            (403, {}, "it refuses the token (HTTP 403)", REFUSED_WAIT_S),
            (404, {}, "it does not know the place (HTTP 404)", REFUSED_WAIT_S),
            (429, {"Retry_After": "300"}, "it answers with HTTP 429", 300.0),
            (429, {}, "it answers with HTTP 429", None),
            (503, {"Retry_After": "90"}, "it answers with HTTP 503", 90.0),
            (500, {"Retry_After": "90"}, "it answers with HTTP 500", None),
            (204, {}, "it answers with HTTP 204", None),
        ],
    )
    def test_another_status_is_named(
        self, status: int, headers: dict[str, str], why: str, wait_s: float | None
    ) -> None:
        found = refused(sends({}, status=status, **headers))
        assert (str(found), found.wait_s) == (why, wait_s)

    def test_a_token_does_not_follow_a_redirect(self) -> None:
        with serving(sends({})) as other:
            found = refused(sends({}, status=302, Location=f"{other.base}/elsewhere"))
        assert str(found) == "it answers with HTTP 302"
        assert other.paths == []

    @pytest.mark.parametrize("raw", [b"", b"<html>", b"{", b"\xff\xfe", b"[" * 100_000], ids=lambda raw: str(len(raw)))
    def test_garbage_is_no_json(self, raw: bytes) -> None:
        assert str(refused(sends(raw=raw))) == "its reply is no JSON"

    def test_a_server_that_says_nothing_is_left(self) -> None:
        def silent(handler: BaseHTTPRequestHandler) -> None:
            handler.released.wait(10)  # type: ignore[attr-defined]

        assert str(refused(silent, step_s=0.1)) == "it did not answer within 0.1 s"

    def test_an_endless_reply_is_cut_by_its_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fetch, "LARGEST", 2**20)

        def endless(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            while not handler.released.is_set():  # type: ignore[attr-defined]
                handler.wfile.write(b" " * 65_536)

        assert str(refused(endless)) == "its reply is larger than 1 MiB"

    def test_a_reply_that_drips_is_cut_by_its_time(self) -> None:
        def drips(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            while not handler.released.wait(0.01):  # type: ignore[attr-defined]
                handler.wfile.write(b" ")

        assert str(refused(drips, whole_s=0.1)) == "its reply was not complete after 0.1 s"

    def test_a_server_that_is_not_there_or_breaks_off_cannot_be_reached(self) -> None:
        def breaks(handler: BaseHTTPRequestHandler) -> None:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")

        assert str(refused(breaks)).startswith("it cannot be reached (")
        with serving(sends({})) as server:
            pass
        with pytest.raises(Unusable, match=r"it cannot be reached \(ConnectError\)"):
            asked(server.base)
