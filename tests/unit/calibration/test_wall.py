from __future__ import annotations

import random
import statistics

import pytest
from calibrations import WALL_FIT, wall_runs

from eco2ai_callbacks.calibration.wall import WallFit, WallFitError, WallRun, fit_wall


def synthetic(*watts: float, base: float = 40.0, slope: float = 1.2, seconds: float = 60.0) -> list[WallRun]:
    return [WallRun(seconds, w * seconds, (base + slope * w) * seconds) for w in watts]


@pytest.mark.parametrize(("device", "most"), [("GPU", 0.05), ("CPU", 0.08)])
def test_ten_published_runs_predict_the_others(device: str, most: float) -> None:
    runs = wall_runs(device)
    chance = random.Random(1)
    medians, inside = [], []
    for _ in range(30):
        chosen = set(chance.sample(range(len(runs)), 10))
        try:
            fit = fit_wall([runs[number] for number in chosen])
        except WallFitError as why:
            assert "runs at idle and at full load are needed" in str(why)  # noqa: PT017 - a draw of ten like runs
            continue
        others = [run for number, run in enumerate(runs) if number not in chosen]
        found = [(fit.energy(run.measured_j, run.seconds), run.wall_j / 3.6e6) for run in others]
        medians.append(statistics.median(abs(energy.kwh / truth - 1) for energy, truth in found if energy))
        inside += [energy.low <= truth <= energy.high for energy, truth in found if energy]
    assert len(medians) >= 28
    assert statistics.median(medians) <= most
    assert statistics.mean(inside) >= 0.85


def test_a_known_line_is_found_and_jumps_do_not_move_it() -> None:
    runs = synthetic(10, 50, 90, 130, 170, 210, 250, 290, 330, 370)
    fit = fit_wall(runs, {"cpu": "rapl"})
    assert (fit.base_w, fit.slope, fit.error) == (pytest.approx(40), pytest.approx(1.2), pytest.approx(0, abs=1e-9))
    assert (fit.band, fit.runs, fit.least_w, fit.most_w) == (0.02, 10, 10, 370)
    runs[3] = WallRun(60, 130 * 60, 9000 * 60)
    runs[7] = WallRun(60, 290 * 60, 1 * 60)
    jumped = fit_wall(runs)
    assert (jumped.base_w, jumped.slope) == (pytest.approx(40, abs=1), pytest.approx(1.2, rel=0.01))
    assert jumped.band > 0.5  # it says that single runs are off


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        (synthetic(10, 100, 200), "3 usable runs are too few: 4 are needed"),
        (synthetic(100, 101, 102, 103), "runs at idle and at full load are needed"),
        (synthetic(10, 100, 200, 300, slope=-0.1), "the meter does not rise with what is measured"),
        ([WallRun(0.0, 1.0, 1.0)] * 9, "0 usable runs are too few"),
    ],
    ids=["few", "alike", "falling", "no time"],
)
def test_what_allows_no_fit_is_refused_in_a_sentence(runs: list[WallRun], why: str) -> None:
    with pytest.raises(WallFitError, match=why):
        fit_wall(runs)


def test_energy_at_the_wall_comes_with_a_band_and_a_warning_where_it_extrapolates() -> None:
    energy = WALL_FIT.energy(100.0 * 3600, 3600.0, {"cpu": "rapl"})
    assert energy is not None
    assert energy.kwh == pytest.approx(0.16)
    assert (energy.low, energy.high) == (pytest.approx(0.16 * 0.94), pytest.approx(0.16 * 1.06))
    assert energy.warning == ""
    beyond = WALL_FIT.energy(400.0 * 3600, 3600.0)
    assert beyond is not None
    assert beyond.warning == "extrapolated: 400 W were measured, the calibration has 20 to 300 W"
    other = WALL_FIT.energy(100.0 * 3600, 3600.0, {"cpu": "cpu-model:bare"})
    assert other is not None
    assert other.warning == "calibrated for cpu by rapl, measured by cpu by cpu-model:bare"
    assert WALL_FIT.energy(1.0, 0.0) is None


def test_a_poor_fit_says_so() -> None:
    energy = WallFit.from_dict(WALL_FIT.to_dict() | {"error": 0.2}).energy(100.0, 1.0)
    assert energy is not None
    assert energy.warning == "poor fit: single runs are off by 20%"


def test_a_fit_survives_its_dictionary() -> None:
    assert WallFit.from_dict(WALL_FIT.to_dict()) == WALL_FIT


@pytest.mark.parametrize(
    "damage",
    [{"slope": 0.0}, {"slope": "1"}, {"methods": None}, {"methods": {"cpu": 1}}, {"least_w": 1e6}, {"band": -1.0}],
    ids=str,
)
def test_damaged_figures_are_refused(damage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"is no number|contradict|methods"):
        WallFit.from_dict(WALL_FIT.to_dict() | damage)
