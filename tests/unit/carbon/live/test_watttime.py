"""WattTime, by the replies of its documentation, and against a local server that misbehaves."""

from __future__ import annotations

import base64
import email.utils
import re
import time
import traceback
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from http_server import Answer, sends, serving

from eco2ai_callbacks.carbon.live.feed import Feed, ask
from eco2ai_callbacks.carbon.live.fetch import get
from eco2ai_callbacks.carbon.live.source import Unusable
from eco2ai_callbacks.carbon.live.watttime import WattTime
from eco2ai_callbacks.carbon.over_time import known_of
from eco2ai_callbacks.carbon.series import Span
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.guard import Guard

USER, PASSWORD, TOKEN = "me", "pa55-w0rd", "s3cr3t.t0ken"
BEGIN = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
META = {
    "region": "CAISO_NORTH",
    "signal_type": "co2_moer",
    "model": {"date": "2026-03-01"},
    "data_point_period_seconds": 300,
    "units": "lbs_co2_per_mwh",
}
REPLY: dict[str, Any] = {
    "data": [
        {"point_time": "2026-03-01T00:00:00+00:00", "value": 1000.0},
        {"point_time": "2026-03-01T00:05:00+00:00", "value": None},
    ],
    "meta": META,
}


def served(reply: Answer, login: Answer | None = None) -> Answer:
    """Answer as the service does: a token for user and password, figures for the token."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        given = handler.headers["Authorization"]
        if handler.path == "/login":
            assert given == f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
            (login or sends({"token": TOKEN}))(handler)
        else:
            assert given == f"Bearer {TOKEN}"
            reply(handler)

    return answer


def test_pounds_become_grams() -> None:
    assert WattTime("CAISO_NORTH").spans(REPLY) == [Span(BEGIN, BEGIN + 300, 453.59237)]


@pytest.mark.parametrize(
    "reply",
    [
        {**REPLY, "meta": {**META, "region": "FR"}},
        {**REPLY, "meta": {**META, "signal_type": "health_damage"}},
        {**REPLY, "meta": {**META, "units": "percent"}},
        {**REPLY, "meta": {**META, "data_point_period_seconds": 0}},
        {**REPLY, "meta": None},
        {**REPLY, "data": [{"point_time": "2026-03-01T00:00:00+00:00", "value": "much"}]},
        {**REPLY, "data": [{"point_time": "2026-03-01T00:00:00+00:00", "value": 1e9}]},
        {**REPLY, "data": [{"point_time": "now", "value": 1.0}]},
        {"error": "no"},
        [],
    ],
    ids=["zone", "signal", "units", "period", "no meta", "text", "too much", "no time", "error", "list"],
)
def test_a_reply_for_something_else_is_of_no_use(reply: Any) -> None:
    with pytest.raises(Unusable):
        WattTime("CAISO_NORTH").spans(reply)


@pytest.mark.parametrize("reply", [{}, [], {"token": 3}, {"token": "a b"}, {"token": "é"}], ids=str)
def test_a_login_without_a_token_is_of_no_use(reply: Any) -> None:
    with pytest.raises(Unusable, match="has no token"):
        WattTime("CAISO_NORTH").token(reply)


def test_what_is_asked_for() -> None:
    found = WattTime("CAISO_NORTH")
    (forecast,) = found.requests(BEGIN, TOKEN, forecast=True)
    assert (forecast.url, forecast.params["horizon_hours"]) == ("https://api.watttime.org/v3/forecast", "72")
    (past,) = found.requests(BEGIN, TOKEN, forecast=False)
    assert (past.params["start"], past.params["end"]) == ("2026-02-28T00:00Z", "2026-03-01T00:00Z")
    assert TOKEN not in repr(past) + repr(found.login(f"{USER}:{PASSWORD}"))


@pytest.mark.parametrize("zone", ["", "caiso north", "../x", "A" * 65])
def test_what_is_no_region_of_its_own_is_refused(zone: str) -> None:
    with pytest.raises(SettingsError, match="live:watttime:CAISO_NORTH"):
        WattTime(zone)


def test_average_figures_are_not_asked_of_it_and_a_footprint_takes_none_of_it() -> None:
    with pytest.raises(SettingsError, match="has marginal figures, no intensity_kind='direct'"):
        WattTime("CAISO_NORTH", "direct")
    # Before user and password are looked up, which are not needed for that.
    with pytest.raises(SettingsError, match="marginal figures, which are no part of a footprint"):
        known_of("live:watttime:CAISO_NORTH", "US-CA", "best", Guard())


class TestServer:
    @pytest.fixture(autouse=True)
    def _needs_httpx(self) -> None:
        pytest.importorskip("httpx")

    def test_a_login_is_followed_by_the_figures(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        with serving(served(sends(REPLY))) as server:
            source = WattTime("CAISO_NORTH", base=server.base)
            spans, ahead_s = ask(source, f"{USER}:{PASSWORD}", BEGIN, get, forecast=True)
        assert spans == [Span(BEGIN, BEGIN + 300, 453.59237)]
        assert abs(ahead_s) < 5
        assert [path.partition("?")[0] for path in server.paths] == ["/login", "/v3/forecast"]
        assert TOKEN not in caplog.text
        assert PASSWORD not in caplog.text

    @pytest.mark.parametrize(
        ("answer", "why", "wait_s"),
        [
            (served(sends(REPLY), sends({}, status=401)), "it refuses the token (HTTP 401)", 3600.0),
            (served(sends({}, status=403)), "it refuses the token (HTTP 403)", 3600.0),
            (served(sends({}, status=429, Retry_After="300")), "it answers with HTTP 429", 300.0),
            (served(sends(REPLY), sends({}, status=503, Retry_After="90")), "it answers with HTTP 503", 90.0),
            (served(sends(raw=b"<html>")), "its reply is no JSON", None),
            (served(sends({"data": [], "meta": META})), "it has no figure for this time", None),
            (
                served(sends({**REPLY, "meta": {**META, "region": "FR"}})),
                "its reply has the region 'FR', not CAISO_NORTH",
                None,
            ),
        ],
        ids=["401", "403", "429", "503", "garbage", "nothing", "another zone"],
    )
    def test_what_goes_wrong_is_one_clause_without_a_secret(
        self, answer: Answer, why: str, wait_s: float | None
    ) -> None:
        with serving(answer) as server, pytest.raises(Unusable) as error:
            ask(WattTime("CAISO_NORTH", base=server.base), f"{USER}:{PASSWORD}", BEGIN, get, forecast=True)
        assert (str(error.value), error.value.wait_s) == (why, wait_s)
        shown = "".join(traceback.format_exception(error.value))
        assert not any(secret in shown for secret in (PASSWORD, TOKEN))

    @pytest.mark.parametrize("place", ["login", "figures"])
    def test_silence_and_endless_replies_end(self, place: str) -> None:
        def drips(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            while not handler.released.wait(0.01):  # type: ignore[attr-defined]
                handler.wfile.write(b" ")

        def fetch(request: Any) -> Any:
            return get(request, step_s=0.5, whole_s=0.1)

        answer = served(sends(REPLY), drips) if place == "login" else served(drips)
        with serving(answer) as server, pytest.raises(Unusable, match="was not complete after"):
            ask(WattTime("CAISO_NORTH", base=server.base), f"{USER}:{PASSWORD}", BEGIN, fetch, forecast=True)

    def test_a_clock_that_is_wrong_and_stale_figures_are_named(self) -> None:
        late = email.utils.formatdate(time.time() - 7200, usegmt=True)
        guard = Guard()
        with serving(served(sends(REPLY, Date=late))) as server:
            source = WattTime("CAISO_NORTH", base=server.base)
            feed = Feed(source, f"{USER}:{PASSWORD}", guard, clock=lambda: BEGIN + 86_400.0)
            feed.mean(BEGIN, BEGIN + 300)
            feed.join()
        assert "its newest figure ends at '2026-03-01T00:05+00:00'" in guard.failures[0]
        assert re.search(r"clock is 720\d s ahead of its own", guard.failures[1])
