from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
from calibrations import CPU_FIT, sweeps

from eco2ai_callbacks.calibration.fit import CpuFit, FitError, Point, fit_cpu, held, left_out

SWEEPS = {name: (threads, points) for name, threads, points in sweeps()}


@pytest.fixture(scope="module")
def published() -> dict[str, CpuFit]:
    return {name: fit_cpu(points, threads) for name, (threads, points) in SWEEPS.items()}


def test_published_sweeps_are_fit_to_15_percent_on_two_machines_and_to_30_on_all(published: dict[str, CpuFit]) -> None:
    errors = sorted(fit.error for fit in published.values())
    assert len(errors) == 3
    assert errors[1] <= 0.15
    assert errors[2] <= 0.30


def test_a_fit_s_band_holds_90_percent_of_its_points(published: dict[str, CpuFit]) -> None:
    inside = [
        1 / fit.factor <= point.watts / max(fit.watts(point.busy), 1e-9) <= fit.factor
        for name, fit in published.items()
        for point in SWEEPS[name][1]
    ]
    assert len(inside) == 64
    assert sum(inside) / len(inside) >= 0.9


@pytest.mark.parametrize(
    ("power", "exact"),
    [
        (lambda busy: 10 + 8 * min(busy, 6) + 3 * max(0, busy - 6), True),
        (lambda busy: 20 + 5 * busy, True),
        (lambda busy: 5 + 9 * min(busy, 8), False),
        (lambda busy: 12 + 70 * (busy / 12) ** 0.55, False),
        (lambda busy: 12 + 70 * (busy / 12) ** 2, False),
    ],
    ids=["two lines", "one line", "ceiling", "concave", "convex"],
)
def test_a_known_power_is_found(power: Callable[[float], float], exact: bool) -> None:
    points = [Point(busy / 2, power(busy / 2)) for busy in range(0, 25, 2)]
    fit = fit_cpu(points, 12)
    most = max(abs(fit.watts(p.busy) - p.watts) for p in points)
    assert most <= (1e-3 if exact else 0.08 * power(12))
    assert fit.error <= (1e-3 if exact else 0.08)
    assert fit.factor >= 1.1


def test_more_threads_than_there_are_draw_no_more_and_fewer_than_none_no_less() -> None:
    assert CPU_FIT.watts(99) == CPU_FIT.watts(12) == 76.0
    assert CPU_FIT.watts(-1) == CPU_FIT.watts(0) == 10.0
    assert dataclasses.replace(CPU_FIT, idle_w=-5.0).watts(0) == 0.0


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([Point(0, 5.0), Point(12, 50.0)], "2 usable points are too few: 6 are needed"),
        ([Point(1 + n / 10, 5.0 + n) for n in range(9)], r"the loads reach from 1.0 to 1.8 of 12 threads"),
        ([Point(n, 50.0 - n) for n in range(13)], "the power does not rise with the load"),
        ([Point(n, 30.0) for n in range(13)], "the power does not rise with the load"),
        ([Point(n, 0.0) for n in range(13)], "the power does not rise with the load"),
    ],
    ids=["few", "alike", "falling", "flat", "still"],
)
def test_what_allows_no_fit_is_refused_in_a_sentence(points: list[Point], why: str) -> None:
    with pytest.raises(FitError, match=why):
        fit_cpu(points, 12)


def test_a_fit_survives_its_dictionary() -> None:
    assert CpuFit.from_dict(CPU_FIT.to_dict()) == CPU_FIT


@pytest.mark.parametrize(
    "damage",
    [
        {"idle_w": None},
        {"thread_w": "8"},
        {"bend": math.nan},
        {"bend": 13.0},
        {"factor": 0.5},
        {"threads": 0},
        {"threads": True},
        {"thread_w": 1e9},
        {"thread_w": -8.0, "beyond_w": -8.0},
    ],
    ids=lambda damage: "-".join(f"{key}={value}" for key, value in damage.items()),
)
def test_damaged_figures_are_refused(damage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"is no number|contradict|does not rise"):
        CpuFit.from_dict(CPU_FIT.to_dict() | damage)


def test_points_near_0_watts_do_not_end_the_band() -> None:
    points = [Point(0.0, 0.01), Point(0.0, 0.02), *(Point(n, 10.0 * n) for n in range(1, 11))]
    assert left_out(points, lambda rest: lambda busy: 10.0 * busy + 1.0)[1] == pytest.approx(1.1)
    assert left_out([Point(0.0, 1.0)], lambda rest: None) == (math.inf, 10.0)


def test_few_deviations_give_a_wide_band() -> None:
    assert held([0.1, 0.2, 0.3]) == 0.3
    assert held([n / 100 for n in range(1, 101)]) == 0.91
    assert held([]) == math.inf
