"""Figures of a live source: when it is asked, what is kept, and what is said of what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from http_server import sends, serving
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.carbon.live import cache
from eco2ai_callbacks.carbon.live.electricitymaps import ElectricityMaps
from eco2ai_callbacks.carbon.live.feed import Feed, merge
from eco2ai_callbacks.carbon.live.fetch import Reply
from eco2ai_callbacks.carbon.live.source import Request, Unusable
from eco2ai_callbacks.carbon.series import Mean, Span
from eco2ai_callbacks.guard import Guard

NOW = 1_800_000_000.0  # the begin of an hour
H = 3600.0
SECRET = "s3cr3t-t0ken"


class Figures:
    """A source that sends its spans as they are."""

    title, key, kind, refresh_s, token_names = "Figures, FR", "figures-FR", "direct", 1800.0, ("FIGURES_TOKEN",)

    def requests(self, now_s: float, token: str, *, forecast: bool) -> Sequence[Request]:
        return [Request("https://x", {}, {"auth-token": token})]

    def spans(self, reply: Any) -> list[Span]:
        return [Span(*row) for row in reply]


class World:
    """A clock, and what the source answers; each answer that raises is raised."""

    def __init__(self) -> None:
        self.now = NOW
        self.answer: Any = [(NOW, NOW + 24 * H, 50.0)]
        self.ahead_s = 0.0
        self.asked = 0
        self.guard = Guard()

    def feed(self, folder: Path | None = None) -> Feed:
        return Feed(Figures(), SECRET, self.guard, self._fetch, folder, lambda: self.now)

    def _fetch(self, request: Request) -> Reply:
        self.asked += 1
        assert request.secret == {"auth-token": SECRET}
        if isinstance(self.answer, Exception):
            raise self.answer
        return Reply(self.answer, self.ahead_s)


@pytest.fixture
def world() -> World:
    return World()


def mean(feed: Feed, begin_s: float = NOW, end_s: float = NOW + H) -> Mean:
    """The mean after all requests that it causes."""
    feed.mean(begin_s, end_s)
    feed.join(10.0)
    return feed.mean(begin_s, end_s)


def test_nothing_waits_for_the_first_figures(world: World) -> None:
    feed = world.feed()
    assert world.asked == 0
    assert feed.mean(NOW, NOW).known in (0.0, 1.0)
    feed.join(10.0)
    assert feed.mean(NOW, NOW + H) == Mean(50.0, 1.0)
    assert world.guard.failures == ()


def test_a_source_is_asked_again_once_its_figures_are_old(world: World) -> None:
    feed = world.feed()
    for minutes, asked in ((0, 1), (10, 1), (29, 1), (31, 2), (60, 2), (62, 3)):
        world.now = NOW + minutes * 60
        mean(feed)
        assert world.asked == asked, minutes


def test_a_source_without_a_forecast_is_asked_when_its_newest_figure_ends(world: World) -> None:
    world.now = NOW + 40 * 60
    world.answer = [(NOW, NOW + H, 50.0)]
    feed = world.feed()
    mean(feed)
    world.now = NOW + 59 * 60
    mean(feed)
    assert world.asked == 1
    world.now, world.answer = NOW + H + 1, [(NOW + H, NOW + 2 * H, 70.0)]
    assert mean(feed, NOW, NOW + 2 * H) == Mean(60.0, 1.0)
    assert world.asked == 2


def test_after_failures_it_is_asked_less_and_less_often(world: World) -> None:
    world.answer = Unusable("it answers with HTTP 500")
    feed = world.feed()
    asked_at = []
    for minute in range(400):
        world.now = NOW + minute * 60
        before = world.asked
        mean(feed)
        if world.asked > before:
            asked_at.append(minute)
    assert asked_at[:7] == [0, 1, 3, 7, 15, 31, 63]
    assert {later - earlier for earlier, later in pairwise(asked_at[6:])} == {60}
    assert world.guard.failures == ("intensity: Figures, FR: it answers with HTTP 500",)


def test_a_source_that_asks_to_wait_is_left_alone_so_long(world: World) -> None:
    world.answer = Unusable("it answers with HTTP 429", wait_s=7200.0)
    feed = world.feed()
    for minute in range(0, 119, 10):
        world.now = NOW + minute * 60
        mean(feed)
    assert world.asked == 1
    world.now, world.answer = NOW + 7200, [(NOW, NOW + 24 * H, 50.0)]
    assert mean(feed).known == 1.0


def test_a_fault_of_a_source_s_module_is_a_failure_too(world: World) -> None:
    world.answer = [(1, 2)]
    feed = world.feed()
    assert mean(feed).known == 0.0
    assert world.guard.failures[0].startswith("intensity: Figures, FR: ")
    assert SECRET not in str(world.guard.failures)


def test_other_processes_use_what_one_has_got(world: World, tmp_path: Path) -> None:
    assert mean(world.feed(tmp_path)).known == 1.0
    other = World()
    other.now = NOW + 29 * 60
    assert mean(other.feed(tmp_path)) == Mean(50.0, 1.0)
    assert (world.asked, other.asked) == (1, 0)
    late = World()
    late.now = NOW + 31 * 60
    mean(late.feed(tmp_path))
    assert late.asked == 1
    assert SECRET not in (tmp_path / "figures-FR.json").read_text()


def test_what_a_clock_from_the_future_has_kept_is_not_used(world: World, tmp_path: Path) -> None:
    cache.store(tmp_path, "figures-FR", NOW + 86_400, [Span(NOW, NOW + H, 1.0)])
    assert mean(world.feed(tmp_path)).g_per_kwh == 50.0


def test_stale_figures_are_named_and_leave_a_gap(world: World) -> None:
    world.answer = [(NOW - 6 * H, NOW - 4 * H, 50.0)]
    assert mean(world.feed()).known == 0.0
    assert world.guard.failures == ("intensity: Figures, FR: its newest figure ends at '2027-01-15T04:00+00:00'",)


@pytest.mark.parametrize(("ahead_s", "way"), [(7200.0, "7200 s ahead of"), (-900.0, "900 s behind")])
def test_a_clock_that_is_wrong_is_named(ahead_s: float, way: str, world: World) -> None:
    world.ahead_s = ahead_s
    mean(world.feed())
    assert world.guard.failures == (
        f"intensity: Figures, FR: this machine's clock is {way} its own, so energy falls into wrong hours",
    )


def test_no_figure_is_a_failure(world: World) -> None:
    world.answer = []
    mean(world.feed())
    assert world.guard.failures == ("intensity: Figures, FR: it has no figure for this time",)


def test_figures_of_long_ago_are_forgotten(world: World) -> None:
    feed = world.feed()
    mean(feed)
    for day in range(1, 40):
        world.now = NOW + day * 86_400
        world.answer = [(world.now, world.now + 24 * H, 50.0)]
        mean(feed, world.now, world.now + H)
    assert len(feed._series.spans) < 20


SPANS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 3)).map(lambda it: Span(it[0], it[0] + it[1], float(it[0]))),
    max_size=5,
)


@settings(max_examples=40, deadline=None)
@given(SPANS, SPANS)
def test_new_figures_replace_old_ones_and_none_overlap(old: list[Span], new: list[Span]) -> None:
    try:
        kept = merge([], old)
        found = merge(kept, new)
    except Unusable:
        return
    assert set(new) <= set(found) <= {*kept, *new}
    assert all(one.end_s <= other.begin_s for one, other in pairwise(found))
    assert all(
        any(span.begin_s < other.end_s and other.begin_s < span.end_s for other in new)
        for span in set(kept) - set(found)
    )


class TestServer:
    """A whole feed against a local server."""

    @pytest.fixture(autouse=True)
    def _needs_httpx(self) -> None:
        pytest.importorskip("httpx")

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Iterator[Path]:
        yield tmp_path
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and SECRET in path.read_text()]

    def _feed(self, base: str, guard: Guard, folder: Path) -> Feed:
        return Feed(ElectricityMaps("FR", base=base), SECRET, guard, folder=folder, clock=lambda: NOW)

    def test_figures_arrive(self, folder: Path) -> None:
        row = {"zone": "FR", "carbonIntensity": 44, "datetime": "2027-01-15T08:00:00.000Z"}
        guard = Guard()
        with serving(sends(row)) as server:
            feed = self._feed(server.base, guard, folder)
            assert mean(feed) == Mean(44.0, 1.0)
        assert [path.partition("?")[0] for path in server.paths] == [
            "/carbon-intensity/history",
            "/carbon-intensity/latest",
        ]
        assert not [failure for failure in guard.failures if "clock" not in failure]

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (lambda: sends({}, status=401), "it refuses the token (HTTP 401)"),
            (lambda: sends({}, status=429, Retry_After="300"), "it answers with HTTP 429"),
            (lambda: sends(raw=b"<html>"), "its reply is no JSON"),
            (lambda: sends({"zone": "DE", "history": []}), "its reply has the zone 'DE', not FR"),
        ],
        ids=["401", "429", "garbage", "another zone"],
    )
    def test_what_goes_wrong_is_one_sentence_without_the_token(
        self, answer: Callable[[], Any], why: str, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        guard = Guard()
        with serving(answer()) as server:
            assert mean(self._feed(server.base, guard, folder)).known == 0.0
        assert guard.failures == (f"intensity: Electricity Maps v3, FR: {why}",)
        assert SECRET not in caplog.text
