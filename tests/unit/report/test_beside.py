"""Figures beside energy and CO2e in reports: sums, notes, and what only some runs have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from calibrations import WALL_FIT
from sessions import Written

from eco2ai_callbacks.report.beside import beside_notes
from eco2ai_callbacks.report.formats import as_format
from eco2ai_callbacks.report.groups import grouped, notes
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.runs import Runs

BASIS = {
    **{"wue": 1.8, "wue_source": "the operator", "water_intensity": 3.0, "market_intensity": 50.0},
    **{"market_label": "wind contract", "embodied_kg": 1000.0, "lifetime_h": 35040.0, "embodied_share": 0.5},
}
BESIDE = {"water_on_site_l": 2.0, "water_off_site_l": 4.0, "embodied_co2_kg": 0.5, "market_co2_kg": 0.25}


def written(run: str, **fields: Any) -> None:
    session = Written(Path(f"{run}.jsonl"), run, **fields)
    session.mark(epoch=0, beside=fields.get("beside", {}))
    session.stop()


@pytest.fixture
def runs() -> Runs:
    written("one", beside=BESIDE, basis=BASIS)
    written("two")
    return load("*.jsonl")


def test_they_are_summed_and_shown_beside(runs: Runs) -> None:
    # The mark's and the stop's.
    assert runs["one"].sum.beside == {name: 2 * value for name, value in BESIDE.items()}
    assert runs["two"].sum.beside == {}
    assert runs["one"].epochs[0].sum.beside == BESIDE
    lines = as_format(grouped(runs), [], "text").splitlines()
    assert "water  embodied CO2e  market-based CO2e" in lines[0]
    assert "12 L           1 kg              500 g" in next(line for line in lines if line.startswith("one"))
    rows = {row["run"]: row for row in json.loads(as_format(grouped(runs), [], "json"))["rows"]}
    assert (rows["one"]["water_off_site_l"], rows["two"]["water_off_site_l"]) == (8.0, None)
    assert rows["one"]["co2_kg"] == rows["two"]["co2_kg"]


def test_ranks_and_components() -> None:
    for rank in range(2):
        session = Written(Path(f"{rank}.jsonl"), "job", rank=rank, world_size=2, beside=BESIDE, basis=BASIS)
        session.stop()
    job = load("*.jsonl")["job"].sum
    assert job.beside == {name: 2 * value for name, value in BESIDE.items()}
    assert job.of("cpu").beside == {}


def test_without_any_there_is_no_column() -> None:
    written("two")
    assert "water" not in as_format(grouped(load("two.jsonl")), [], "text")


def test_the_notes_name_each_factor_and_that_it_is_no_part_of_co2e(runs: Runs) -> None:
    assert beside_notes(runs) == [
        "water: on site 1.8 L for each kWh of the machines by the operator, off site 3 L for each kWh from the grid "
        "(the user's figure)",
        "embodied: 0.5 of 1000 kg CO2e for making the machine, spread over 35040 h (the user's figures); no part of "
        "CO2e",
        "market-based: 50 g/kWh by wind contract; a figure of a contract, beside the location-based CO2e and never in "
        "its place",
        "water: 1 of 2 runs have a figure, and the total holds theirs alone",
        "embodied CO2e: 1 of 2 runs have a figure, and the total holds theirs alone",
        "market-based CO2e: 1 of 2 runs have a figure, and the total holds theirs alone",
    ]
    assert set(beside_notes(runs)) <= set(notes(runs))


def test_water_that_was_asked_for_and_is_not_known_is_named() -> None:
    written("one", basis={"wue": None, "wue_source": "no provider's figure is known for FR"})
    assert beside_notes(load("one.jsonl")) == ["water: on site not known, for no provider's figure is known for FR"]


def test_the_wall_warns_where_it_extrapolates_and_for_other_methods() -> None:
    # 18 W, and the calibration has 20 to 300 W; measured by a model, calibrated for counters.
    written("one", beside={"wall_kwh": 1e-4}, basis={"wall": WALL_FIT.to_dict()})
    low, high = (note for note in beside_notes(load("one.jsonl")))
    assert low.startswith("at the wall: 50 W + 1.10 x measured, within 6%")
    assert high == "at the wall in run one: calibrated for cpu by rapl, measured by cpu by cpu-model:vm"
    fit = WALL_FIT.to_dict() | {"least_w": 200.0}
    written("two", beside={"wall_kwh": 1e-4}, basis={"wall": fit})
    assert "extrapolated: 18 W were measured, the calibration has 200 to 300 W" in beside_notes(load("two.jsonl"))[1]


@pytest.mark.parametrize(
    "basis",
    [
        {"wue": "much", "wall": {"base_w": "x"}},
        {"market_intensity": 3.0, "market_label": 7},
        {"embodied_kg": 1.0, "lifetime_h": 0.0},
        {"wall": {"methods": {str(n): "x" for n in range(1000)}}},
        {"baseline": 7},
        {"baseline": {"seconds": "x", "watts": {"cpu": None}}},
        {"baseline": {"seconds": 5.0, "watts": {str(n): 1.7e308 for n in range(9)}}},
    ],
    ids=["texts", "a number", "no life", "methods", "no baseline", "no power", "infinite"],
)
def test_whatever_a_line_holds_there_a_reader_goes_on(basis: dict[str, Any]) -> None:
    written("odd", basis=basis)
    assert all(len(note) < 200 for note in beside_notes(load("odd.jsonl")))


BASELINE = {"baseline": {"seconds": 5.0, "watts": {"cpu": 10.0, "gpu:a": 50.0}}}


def test_energy_above_idle_is_a_column_and_its_note_names_the_idle_power() -> None:
    written("one", beside={"above_idle_kwh": 1e-3}, basis=BASELINE)
    runs = load("one.jsonl")
    text = as_format(grouped(runs), notes(runs), "text")
    assert "above idle" in text
    # Once for the epoch, and once for what follows.
    assert "2 Wh" in text
    assert beside_notes(runs) == [
        "above idle: the energy beyond 60 W, which the same sources counted for 5 s before the run; a part of the "
        "energy, and never in its place"
    ]


def test_less_than_idle_is_shown_as_it_is() -> None:
    written("one", beside={"above_idle_kwh": -1e-3}, basis=BASELINE)
    assert load("one.jsonl").sum.beside == {"above_idle_kwh": -2e-3}
    assert "-2 Wh" in as_format(grouped(load("one.jsonl")), [], "text")
