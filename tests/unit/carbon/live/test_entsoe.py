"""ENTSO-E's Transparency Platform: generation as its documents have it, and a local server that misbehaves."""

from __future__ import annotations

import doctest
import string
import traceback
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler

import pytest
from http_server import Answer, sends, serving

from eco2ai_callbacks.carbon import places
from eco2ai_callbacks.carbon.live import entsoe as module
from eco2ai_callbacks.carbon.live.entsoe import Entsoe, mean_factor
from eco2ai_callbacks.carbon.live.feed import Feed, ask
from eco2ai_callbacks.carbon.live.fetch import get
from eco2ai_callbacks.carbon.live.source import Unusable
from eco2ai_callbacks.carbon.series import Span
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.guard import Guard

BEGIN = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
H = 3600.0
FR = "10YFR-RTE------C"
SECRET = "s3cr3t-t0ken"
# EIC reference manual: the characters by value, and weights of 16 down to 2.
_VALUES = string.digits + string.ascii_uppercase + "-"


def series(plants: str, *megawatts: float | None, area: str = FR, side: str = "in", **given: str) -> str:
    resolution, curve = given.get("resolution", "PT60M"), given.get("curve", "A01")
    points = "".join(
        f"<Point><position>{place}</position><quantity>{value}</quantity></Point>"
        for place, value in enumerate(megawatts, 1)
        if value is not None
    )
    return (
        f"<TimeSeries><{side}BiddingZone_Domain.mRID codingScheme='A01'>{area}</{side}BiddingZone_Domain.mRID>"
        f"<curveType>{curve}</curveType><MktPSRType><psrType>{plants}</psrType></MktPSRType><Period><timeInterval>"
        f"<start>2026-03-01T00:00Z</start><end>{given.get('end', '2026-03-01T02:00Z')}</end></timeInterval>"
        f"<resolution>{resolution}</resolution>{points}</Period></TimeSeries>"
    )


def document(*parts: str) -> str:
    namespace = "urn:iec62325.351:tc57wg16:451-6:generationloaddocument:3:0"
    root = f"<GL_MarketDocument xmlns='{namespace}'>{''.join(parts)}</GL_MarketDocument>"
    return f"<?xml version='1.0' encoding='UTF-8'?>{root}"


GOOD = document(series("B14", 300, 300), series("B04", 100, 300))


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0


def test_an_hour_has_the_mean_factor_of_its_generation() -> None:
    # (300 x 12 + 100 x 490) / 400 and (300 x 12 + 300 x 490) / 600 g/kWh
    assert Entsoe("FR").spans(GOOD) == [Span(BEGIN, BEGIN + H, 131.5), Span(BEGIN + H, BEGIN + 2 * H, 251.0)]


def test_units_of_one_kind_add_up_and_consumption_and_storage_are_left_out() -> None:
    twice = document(
        *(series("B14", 150, 150), series("B14", 150, 150), series("B04", 100, 300)),
        *(series("B10", 999, 999), series("B10", 999, 999, side="out")),
    )
    assert Entsoe("FR").spans(twice) == Entsoe("FR").spans(GOOD)


def test_quarters_and_values_that_hold() -> None:
    quarters = document(series("B19", 10, None, None, 20, resolution="PT15M", curve="A03", end="2026-03-01T01:00Z"))
    assert Entsoe("FR").spans(quarters) == [Span(BEGIN + n * 900, BEGIN + (n + 1) * 900, 11.0) for n in range(4)]
    gaps = document(series("B19", 10, None, None, 20, resolution="PT15M", end="2026-03-01T01:00Z"))
    assert [span.begin_s - BEGIN for span in Entsoe("FR").spans(gaps)] == [0, 2700]


def test_an_hour_for_which_some_plants_have_not_reported_has_no_figure() -> None:
    end = "2026-03-01T03:00Z"
    late = document(series("B14", 300, 300, None, end=end), series("B04", 100, 300, 500, end=end))
    assert [span.begin_s for span in Entsoe("FR").spans(late)] == [BEGIN, BEGIN + H]


def test_generation_without_a_factor_is_left_out_up_to_a_tenth() -> None:
    assert mean_factor({"B14": 91.0, "B20": 9.0}) == 12.0
    assert mean_factor({"B14": 89.0, "B20": 11.0}) is None
    assert mean_factor({"B10": 5.0}) is None
    assert mean_factor({"B14": 0.0}) is None


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("<html", "is no XML"),
        ("", "is no XML"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "without entities"),
        ({"a": 1}, "is no XML"),
        ("<a>" * 3000, "is no XML"),
        ("<html></html>", "is 'html', not generation"),
        (document(series("B14", 1, area="10YBE----------2")), "is for '10YBE----------2', not for 10YFR"),
        (document(series("B14", 1, resolution="P1Y")), "resolution 'P1Y'"),
        (document(series("B14", 1, end="2036-03-01T00:00Z")), "period without a length"),
        (document(series("B14", 1, end="yesterday")), "where a time belongs"),
        (document(series("B14", float("nan"))), "where megawatts belong"),
        (
            "<Acknowledgement_MarketDocument><Reason><code>999</code><text>No matching data found</text></Reason>"
            "</Acknowledgement_MarketDocument>",
            "it has no data: No matching data found",
        ),
    ],
    ids=[
        *("cut", "empty", "entities", "JSON", "deep", "HTML", "another zone", "resolution", "too long", "no time"),
        *("no number", "no data"),
    ],
)
def test_garbage_is_of_no_use(reply: object, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        Entsoe("FR").spans(reply)


@pytest.mark.parametrize("zone", sorted(module._AREAS))
def test_each_zone_has_a_code_with_its_check_character(zone: str) -> None:
    code = module._AREAS[zone]
    total = sum(_VALUES.index(c) * weight for c, weight in zip(code, range(16, 1, -1), strict=False))
    assert _VALUES[36 - (total - 1) % 37] == code[15]
    assert places.exists(zone)


@pytest.mark.parametrize(("region", "zone"), [("FR", "FR"), ("SE3", "SE3"), ("DE-BY", "DE"), ("aws:eu-west-3", "FR")])
def test_the_zone_is_the_smallest_around_the_place(region: str, zone: str) -> None:
    assert Entsoe(region).title.endswith(f", {zone}")


@pytest.mark.parametrize("region", ["US", "SE", "GB"])
def test_other_places_are_refused(region: str) -> None:
    with pytest.raises(SettingsError, match=f"no bidding zone for region='{region}'; accepted are places in one of AT"):
        Entsoe(region)


def test_another_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="'live:entsoe' has lifecycle figures, no intensity_kind='direct'"):
        Entsoe("FR", "direct")


def test_a_day_until_the_hour_that_runs_is_asked_for() -> None:
    (request,) = Entsoe("FR").requests(BEGIN + 100, SECRET, forecast=False)
    assert (request.params["periodStart"], request.params["periodEnd"]) == ("202602280000", "202603010100")
    assert SECRET not in repr(request)


class TestServer:
    @pytest.fixture(autouse=True)
    def _needs_httpx(self) -> None:
        pytest.importorskip("httpx")

    def test_figures_arrive_and_no_log_has_the_token(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        with serving(sends(raw=GOOD.encode())) as server:
            spans, _ = ask(Entsoe("FR", base=server.base), SECRET, BEGIN, get)
        assert [span.g_per_kwh for span in spans] == [131.5, 251.0]
        assert f"securityToken={SECRET}" in server.paths[0]
        assert SECRET not in caplog.text

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (sends({}, status=401), "it refuses the token (HTTP 401)"),
            (sends({}, status=403), "it refuses the token (HTTP 403)"),
            (sends({}, status=429, Retry_After="300"), "it answers with HTTP 429"),
            (sends({}, status=503, Retry_After="90"), "it answers with HTTP 503"),
            (sends(raw=b"\xff\xfe"), "its reply is no XML"),
            (sends(raw=document().encode()), "it has no figure for this time"),
        ],
        ids=["401", "403", "429", "503", "garbage", "nothing"],
    )
    def test_what_goes_wrong_is_one_clause_without_the_token(self, answer: Answer, why: str) -> None:
        with serving(answer) as server, pytest.raises(Unusable) as error:
            ask(Entsoe("FR", base=server.base), SECRET, BEGIN, get)
        assert str(error.value) == why
        assert SECRET not in "".join(traceback.format_exception(error.value))

    def test_an_endless_reply_is_cut_by_its_time(self) -> None:
        def drips(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            while not handler.released.wait(0.01):  # type: ignore[attr-defined]
                handler.wfile.write(b"<")

        with serving(drips) as server, pytest.raises(Unusable, match="was not complete after"):
            ask(Entsoe("FR", base=server.base), SECRET, BEGIN, lambda request: get(request, whole_s=0.1))

    def test_stale_figures_are_named(self) -> None:
        guard = Guard()
        with serving(sends(raw=GOOD.encode())) as server:
            feed = Feed(Entsoe("FR", base=server.base), SECRET, guard, clock=lambda: BEGIN + 86_400.0)
            feed.mean(BEGIN, BEGIN + H)
            feed.join()
        assert "its newest figure ends at '2026-03-01T02:00+00:00'" in guard.failures[0]
