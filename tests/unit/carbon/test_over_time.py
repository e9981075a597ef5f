"""Factors over time: a file's, a function's, and the static one in their gaps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.carbon.intensity import lookup
from eco2ai_callbacks.carbon.over_time import Asked, OverTime, known_of
from eco2ai_callbacks.carbon.series import Mean, Series, Span
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.guard import Guard

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FR = lookup("FR", year=2023)


def by_hour(moment: datetime) -> float | None:
    """100 g/kWh before one o'clock, 40 after; unknown from three to four."""
    return None if moment.hour == 15 else 100.0 if moment.hour < 13 else 40.0


def seconds(moment: datetime) -> float:
    return moment.timestamp()


class TestAsked:
    def test_a_period_is_the_mean_of_its_quarters(self) -> None:
        found = Asked(by_hour, Guard()).mean(seconds(NOON) + 1800, seconds(NOON) + 2 * 3600)
        assert found == Mean(pytest.approx((0.5 * 100 + 1.0 * 40) / 1.5), 1.0)

    def test_a_moment_has_the_figure_of_its_quarter(self) -> None:
        asked = Asked(by_hour, Guard())
        assert asked.mean(seconds(NOON) + 3599, seconds(NOON) + 3599) == Mean(100.0, 1.0)
        late = seconds(NOON) + 3 * 3600
        assert asked.mean(late, late) == Mean(0.0, 0.0, late)

    def test_it_is_asked_once_for_each_quarter_in_utc(self) -> None:
        moments: list[datetime] = []

        def known(moment: datetime) -> float:
            moments.append(moment)
            return 7.0

        asked = Asked(known, Guard())
        for begin, end in ((0, 100), (100, 1000), (0, 1800)):
            asked.mean(seconds(NOON) + begin, seconds(NOON) + end)
        assert moments == [NOON, NOON + timedelta(minutes=15)]
        assert {moment.tzinfo for moment in moments} == {UTC}

    def test_a_quarter_without_a_figure_is_asked_for_again(self) -> None:
        answers = iter([None, 7.0])
        asked = Asked(lambda _: next(answers), Guard())
        assert asked.mean(0.0, 900.0) == Mean(0.0, 0.0, 0.0)
        assert asked.mean(0.0, 900.0) == Mean(7.0, 1.0)

    def test_memory_is_bounded_however_long_a_run_is(self) -> None:
        asked = Asked(lambda _: 7.0, Guard())
        assert asked.mean(0.0, 40 * 86_400.0).g_per_kwh == pytest.approx(7.0)
        assert len(asked._kept) == 1000

    @pytest.mark.parametrize("answer", [-1.0, 5001.0, float("inf"), "much", object], ids=str)
    def test_an_answer_that_is_no_figure_is_a_gap_with_a_failure(self, answer: Any) -> None:
        guard = Guard()
        assert Asked(lambda _: answer, guard).mean(0.0, 900.0).known == 0.0
        assert guard.failures[0].startswith("intensity: ")

    @pytest.mark.parametrize("answer", [None, float("nan")], ids=str)
    def test_no_answer_is_a_gap_without_one(self, answer: Any) -> None:
        guard = Guard()
        assert Asked(lambda _: answer, guard).mean(0.0, 900.0).known == 0.0
        assert guard.failures == ()

    def test_a_function_that_raises_is_a_gap_with_a_failure(self) -> None:
        guard = Guard()
        assert Asked(lambda moment: 1 / 0, guard).mean(0.0, 900.0).gap_s == 0.0
        assert guard.failures == ("intensity: division by zero (ZeroDivisionError)",)

    def test_it_may_name_its_kind_and_its_source(self) -> None:
        def known(moment: datetime) -> float:
            return 7.0

        assert (Asked(known, Guard()).kind, Asked(by_hour, Guard()).source) == ("unstated", "function by_hour")
        known.kind, known.source = "direct", "our meter"  # type: ignore[attr-defined]
        assert (Asked(known, Guard()).kind, Asked(known, Guard()).source) == ("direct", "our meter")
        known.kind = "green"  # type: ignore[attr-defined]
        with pytest.raises(SettingsError, match="our meter has the kind 'green'; accepted are lifecycle, direct"):
            Asked(known, Guard())

    @settings(max_examples=20, deadline=None)
    @given(st.floats(0.0, 20_000.0), st.floats(0.0, 20_000.0), st.floats(0.0, 20_000.0))
    def test_splitting_a_period_changes_nothing(self, one: float, two: float, three: float) -> None:
        begin, cut, end = sorted((one, two, three))
        asked = Asked(lambda moment: float(moment.minute), Guard())

        def grams(low: float, high: float) -> float:
            return asked.mean(low, high).g_per_kwh * (high - low)

        assert grams(begin, cut) + grams(cut, end) == pytest.approx(grams(begin, end), abs=1e-6)


def over_time(guard: Guard, *figures: float) -> OverTime:
    spans = [Span(seconds(NOON) + i * 3600, seconds(NOON) + (i + 1) * 3600, g) for i, g in enumerate(figures)]
    return OverTime(Series(spans, "hours.csv", "direct"), FR, guard)


class TestOverTime:
    def test_a_gap_is_filled_with_the_static_figure_and_named(self) -> None:
        guard = Guard()
        found = over_time(guard, 100.0)
        assert found.mean(NOON, 3600.0) == 100.0
        assert guard.failures == ()
        assert found.mean(NOON, 4 * 3600.0) == pytest.approx((100.0 + 3 * FR.g_per_kwh) / 4)
        assert guard.failures == (
            "intensity: hours.csv has no figure at 2026-01-01T13:00+00:00; "
            f"such times are counted with the static {FR.g_per_kwh:g} g/kWh",
        )

    def test_many_gaps_are_one_failure(self) -> None:
        guard = Guard()
        found = over_time(guard, 100.0)
        for hour in range(1, 200):
            found.mean(NOON + timedelta(hours=hour), 3600.0)
        assert len(guard.failures) == 1

    def test_the_facts_name_both_figures_and_the_share_of_the_static_one(self) -> None:
        found = over_time(Guard(), 100.0, 50.0)
        whole = found.facts(NOON, 7200.0)
        assert whole == {
            "g_per_kwh": 75.0,
            "dataset": "over time",
            "year": None,
            "kind": "direct",
            "source": "hours.csv",
            "static_g_per_kwh": FR.g_per_kwh,
            "static_dataset": FR.dataset,
            "static_year": 2023,
            "static_kind": "lifecycle",
        }
        partly = found.facts(NOON, 4 * 3600.0)
        assert partly["static_share"] == 0.5
        assert partly["g_per_kwh"] == pytest.approx((75.0 + FR.g_per_kwh) / 2)
        assert found.facts(NOON, 7200.0, used=60.0)["g_per_kwh"] == 60.0

    def test_facts_record_no_gap(self) -> None:
        guard = Guard()
        over_time(guard).facts(NOON, 0.0)
        assert guard.failures == ()


class TestKnownOf:
    def test_a_file_and_a_function_are_known(self, tmp_path: Path) -> None:
        path = tmp_path / "hours.csv"
        path.write_text("start,g_per_kwh,kind\n2026-01-01T12:00Z,80,direct\n")
        for setting in (path, str(path)):
            assert known_of(setting, None, "best", Guard()).mean(seconds(NOON), seconds(NOON) + 60).g_per_kwh == 80.0
        assert known_of(by_hour, None, "best", Guard()).source == "function by_hour"

    def test_marginal_figures_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "hours.csv"
        path.write_text("start,g_per_kwh,kind\n2026-01-01T12:00Z,80,marginal\n")
        with pytest.raises(SettingsError, match=r"holds marginal figures.*'eco2ai when'"):
            known_of(path, None, "best", Guard())

    @pytest.mark.parametrize(("kind", "file"), [("direct", "lifecycle"), ("lifecycle", "direct")])
    def test_figures_of_another_kind_than_the_one_that_is_asked_for_are_refused(
        self, kind: str, file: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "hours.csv"
        path.write_text(f"start,g_per_kwh,kind\n2026-01-01T12:00Z,80,{file}\n")
        with pytest.raises(SettingsError, match=f"holds {file} figures, and intensity_kind='{kind}' asks for others"):
            known_of(path, None, kind, Guard())
        assert known_of(path, None, file, Guard()).kind == file
