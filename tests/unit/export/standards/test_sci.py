"""Software Carbon Intensity: (E x I + M) per R."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from publications import trained_runs
from report_logs import GRID, training

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.export.standards.sci import write
from eco2ai_callbacks.report.groups import grouped
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.sci import Unit, scored

RUNS = {"unit": "training", "units": "2"}
PARTS = {"total_embodied_g": "1000", "lifespan_hours": "30", "resource_share": "0.5"}


def written(runs: Any, **options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(write(runs, options))
    return found


def test_without_m_and_r_there_are_the_terms_and_no_score() -> None:
    (run,) = runs = trained_runs()
    found = written(runs)
    assert found["E_kwh"] == run.energy_kwh
    assert found["O_g"] == pytest.approx(found["E_kwh"] * found["I_g_per_kwh"])
    assert found["O_g"] * 1.2 == pytest.approx(run.co2_kg * 1000)
    assert (found["boundary"], found["kind"]) == ("it", "partly measured")
    assert found["attribution"] == {"gpu:GPU-a": "whole device", "cpu": "job's process tree", "ram": "whole machine"}
    assert not {"M_g", "R", "sci_g_per_R", "O_g_per_R"} & found.keys()
    assert found["notes"][-1] == "M and R are not known, so there is no score."
    assert any("all reserved hardware" in note for note in found["notes"])


def test_the_score_is_that_of_the_formula() -> None:
    runs = trained_runs()
    found = written(runs, **RUNS, embodied_g="100")
    assert found["R"] == {"unit": "training", "count": 2.0}
    assert found["sci_g_per_R"] == pytest.approx((found["O_g"] + 100) / 2)
    assert "no score" not in found["notes"][-1]
    facility = written(runs, **RUNS, embodied_g="100", boundary="facility")
    assert facility["O_g"] == pytest.approx(1.2 * found["O_g"])


def test_embodied_carbon_is_the_part_of_time_and_of_the_machine() -> None:
    runs = trained_runs()  # three hours
    found = written(runs, **PARTS)
    assert found["M_g"] == pytest.approx(1000 * (3 / 30) * 0.5)
    assert found["notes"][-1] == "R is not known, so there is no score."


def test_what_the_records_hold_of_the_making_is_m_and_the_score_that_of_the_report() -> None:
    beside = {"embodied_co2_kg": 2e-6}
    training(Path("a.jsonl"), "a", intensity=GRID, beside=beside)
    runs = load("a.jsonl")
    held = runs.sum.beside["embodied_co2_kg"]
    assert held > 0
    found = written(runs.runs, unit="epoch", units="3", boundary="facility")
    assert found["M_g"] == pytest.approx(held * 1000)
    total = scored(grouped(runs, "run"), runs, Unit.parse("epoch")).sci
    assert found["sci_g_per_R"] == pytest.approx(total)
    # The user's own figure comes first, and runs that do not all hold one have none.
    assert written(runs.runs, embodied_g="7")["M_g"] == 7
    training(Path("b.jsonl"), "b", intensity=GRID)
    assert "M_g" not in written(load("*.jsonl").runs)


def test_an_intensity_that_the_logs_do_not_hold_is_left_out() -> None:
    training(Path("a.jsonl"), "a", intensity=GRID)
    training(Path("b.jsonl"), "b", intensity=GRID, pue=1.5)
    found = written(load("*.jsonl").runs, **RUNS)
    assert not {"I_g_per_kwh", "O_g", "O_g_per_R"} & found.keys()
    assert any("I is not known" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"unit": "epoch"}, "sci needs the option units, which no log holds: how many functional units"),
        ({"units": "2"}, "sci needs the option unit, which no log holds"),
        ({"unit": "epoch", "units": "0"}, "units='0' is not accepted; accepted: a number above 0."),
        ({"embodied_g": "-1"}, "embodied_g='-1' is not accepted; accepted: a number of 0 or more."),
        ({"embodied_g": "nan"}, "embodied_g='nan' is not accepted"),
        (PARTS | {"resource_share": "2"}, "resource_share='2' is not accepted; accepted: a number from 0 to 1."),
        (PARTS | {"lifespan_hours": "0"}, "lifespan_hours='0' is not accepted; accepted: a number above 0."),
        (PARTS | {"embodied_g": "1"}, "embodied_g=1 and total_embodied_g=1000 exclude each other."),
        ({"lifespan_hours": "5"}, "lifespan_hours=5 needs the option total_embodied_g."),
        ({"total_embodied_g": "5"}, "sci needs the option lifespan_hours"),
    ],
    ids=[
        *("no units", "no unit", "zero units", "negative", "not a number", "share", "no lifespan", "both"),
        *("lifespan alone", "total alone"),
    ],
)
def test_what_is_missing_or_not_accepted_is_one_sentence(options: dict[str, str], sentence: str) -> None:
    training(Path("eco2ai.jsonl"))
    with pytest.raises(SettingsError) as told:
        write(load("eco2ai.jsonl").runs, options)
    assert str(told.value).startswith(sentence)
