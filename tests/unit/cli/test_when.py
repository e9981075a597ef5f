"""The command eco2ai when: a time is shown, and nothing is delayed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from eco2ai_callbacks.carbon.live import sources
from eco2ai_callbacks.carbon.live.source import Unusable
from eco2ai_callbacks.carbon.series import Span
from eco2ai_callbacks.cli import main

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(time, "time", lambda: NOW)


def when(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["when", *args])
    return done.exit_code, done.output


def hours(folder: Path, *figures: float, kind: str = "average", first: int = 12) -> str:
    path = folder / "hours.csv"
    rows = (f"2026-03-01T{first + i:02d}:00Z,{g},{kind}\n" for i, g in enumerate(figures))
    path.write_text("start,g_per_kwh,kind\n" + "".join(rows))
    return str(path)


def test_the_best_time_and_what_it_saves(tmp_path: Path) -> None:
    code, text = when("--hours", "2", "--within", "6h", "--intensity", hours(tmp_path, 300, 200, 100, 150, 400, 400))
    assert code == 0, text
    first, second, third = text.splitlines()
    assert first == "start at 2026-03-01 14:00 +0000: 125 g/kWh"
    assert second == "start now: 250 g/kWh; waiting saves 50 %"
    assert third.startswith("by hours.csv (SHA-256 ")
    assert third.endswith(" (average)")


def test_with_an_energy_kilograms_are_shown(tmp_path: Path) -> None:
    args = ("--hours", "1", "--within", "3h", "--kwh", "12", "--intensity", hours(tmp_path, 300, 200, 100))
    assert when(*args)[1].splitlines()[:2] == [
        "start at 2026-03-01 14:00 +0000: 100 g/kWh, 1.2 kg CO2e",
        "start now: 300 g/kWh, 3.6 kg CO2e; waiting saves 67 %, 2.4 kg",
    ]


def test_where_now_is_best_it_is_said(tmp_path: Path) -> None:
    text = when("--hours", "1", "--within", "3h", "--intensity", hours(tmp_path, 100, 200, 300))[1]
    assert text.splitlines()[:2] == ["start at 2026-03-01 12:00 +0000: 100 g/kWh", "a start now is as good as any"]


def test_where_now_is_not_known_that_is_said(tmp_path: Path) -> None:
    text = when("--hours", "1", "--within", "4h", "--intensity", hours(tmp_path, 100, 200, first=14))[1]
    assert "start now: not known, for the figures have a gap" in text


def test_marginal_figures_may_be_used_and_are_named(tmp_path: Path) -> None:
    text = when("--hours", "1", "--within", "2h", "--intensity", hours(tmp_path, 500, 300, kind="marginal"))[1]
    assert text.splitlines()[-1].endswith(
        "(marginal); marginal figures tell when to run and are no part of a footprint"
    )


@pytest.mark.parametrize(
    ("args", "code", "why"),
    [
        (("--hours", "1"), 2, "needs figures of the hours ahead: give --intensity"),
        (("--hours", "soon", "--intensity", "x.csv"), 2, "'soon' is no duration; accepted are hours, or numbers like"),
        (("--hours", "0", "--intensity", "x.csv"), 2, "'0' is no duration"),
        (("--hours", "1", "--intensity", "x.csv"), 2, "intensity='x.csv' cannot be used"),
        (("--hours", "3", "--within", "2h", "--intensity", "hours.csv"), 2, "the job cannot end in time"),
        (("--hours", "3", "--within", "1d", "--intensity", "hours.csv"), 1, "no figures without a gap for 3 h between"),
        (("--hours", "1", "--intensity", "live:sun", "--region", "FR"), 2, "is no live source"),
    ],
    ids=["no source", "no duration", "zero", "no file", "too long", "gaps", "no such source"],
)
def test_what_cannot_be_answered_is_one_sentence(args: Sequence[str], code: int, why: str) -> None:
    hours(Path(), 1.0, 2.0)
    found, text = when(*args)
    assert (found, why in " ".join(text.split())) == (code, True)


def test_a_live_source_is_asked_for_its_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def ask(source: Any, token: str, now_s: float, *, forecast: bool) -> tuple[list[Span], float]:
        asked.append((source.key, token, now_s, forecast))
        if len(asked) > 1:
            raise Unusable("it refuses the token (HTTP 401)")
        return [Span(NOW, NOW + 3600, 300.0), Span(NOW + 3600, NOW + 7200, 100.0)], 0.0

    monkeypatch.setattr(sources, "ask", ask)
    monkeypatch.setattr(sources, "check_extra", lambda: None)
    monkeypatch.setenv("ELECTRICITYMAPS_TOKEN", "abc")
    args = ("--hours", "1", "--within", "2h", "--region", "FR", "--intensity", "live:electricitymaps")
    code, text = when(*args)
    assert (code, "start at 2026-03-01 13:00 +0000: 100 g/kWh" in text) == (0, True)
    assert asked == [("electricitymaps-FR-lifecycle", "abc", NOW, True)]
    code, text = when(*args)
    assert (code, "gives no forecast: it refuses the token (HTTP 401)" in " ".join(text.split())) == (2, True)
