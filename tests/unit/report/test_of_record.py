"""What a record adds to sums, whatever its line holds there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.count import Count
from eco2ai_callbacks.report.fields import spread_of
from eco2ai_callbacks.report.of_record import Deriver, Figures, plus

GRID = {"g_per_kwh": 100.0, "low": 50.0, "high": 200.0}


def record(**fields: Any) -> Record:
    return Record(**{"run": "r", "writer": "w", "event": "stop"} | fields)


def figures(**fields: Any) -> Figures:
    return Deriver().figures(record(**fields))


class Looked(Mapping[str, Any]):
    """A mapping that counts how often it is looked into."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values_, self.times = values, 0

    def __getitem__(self, name: str) -> Any:
        self.times += 1
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def test_figures_beside_are_the_known_ones() -> None:
    assert figures().beside == {}
    beside = {"wall_kwh": 1, "water_on_site_l": 2.0, "news": 3.0, "market_co2_kg": None}
    assert figures(beside=beside).beside == {"water_on_site_l": 2.0, "wall_kwh": 1.0}
    assert figures(beside=beside, event="start").beside == {}


def test_sums_of_figures_have_those_of_either() -> None:
    one, other = {"wall_kwh": 1.0}, {"wall_kwh": 2.0, "market_co2_kg": 3.0}
    assert plus(one, other) == {"wall_kwh": 3.0, "market_co2_kg": 3.0}
    assert plus({}, one) is one
    assert plus(one, {}) is one


def test_measured_joules_and_the_grid_s_band() -> None:
    assert figures(joules={"cpu": 10.0}, measured_share=0.5).measured_j == 5.0
    assert figures(joules={"cpu": 10.0}).measured_j is None
    assert figures(co2_kg=1.0, intensity=GRID).grams_band == (500.0, 2000.0)
    carried = {"co2_kg": 1.0, "energy_kwh": None, "seconds": 0.0}
    assert figures(event="start", carried=carried, intensity=GRID).grams_band == (500.0, 2000.0)
    assert spread_of("DE") == (1.0, 1.0)


def test_parts_are_those_with_a_band_by_their_methods() -> None:
    found = figures(
        joules={"cpu": 10.0, "ram": 2.0, "disk": 1.0}, method={"cpu": "rapl"}, band={"cpu": (9.0, 11.0), "ram": [1, 3]}
    )
    assert found.parts == [(("cpu", "rapl"), 10.0, 9.0, 11.0), (("ram", "other"), 2.0, 1.0, 3.0)]


def test_a_label_says_when_it_began() -> None:
    assert figures(start="1971-01-01T00:00:00+00:00").began == 365 * 86400.0
    assert figures(start="soon").began is None


@pytest.mark.parametrize(
    ("name", "first", "then", "found"),
    [
        ("method", {"cpu": "rapl"}, {"cpu": "model"}, ("cpu", "model")),
        ("method", {"cpu": "rapl"}, {}, ("cpu", "other")),
        ("method", {}, {"cpu": "rapl"}, ("cpu", "rapl")),
        ("intensity", GRID, GRID | {"low": 25.0}, (250.0, 2000.0)),
        ("intensity", GRID, None, (1000.0, 1000.0)),
        ("intensity", "DE", GRID, (500.0, 2000.0)),
    ],
    ids=["method", "no method then", "no method first", "factor", "no factor then", "no factor first"],
)
def test_what_a_record_states_anew_holds_from_it_on(name: str, first: Any, then: Any, found: Any) -> None:
    deriver = Deriver()
    used = {"joules": {"cpu": 10.0}, "band": {"cpu": (9.0, 11.0)}, "co2_kg": 1.0}
    deriver.figures(record(**used, **{name: first}))
    second = deriver.figures(record(**used, **{name: then}))
    assert (second.parts[0][0] if name == "method" else second.grams_band) == found


def test_each_record_is_looked_into_once_for_all_its_sums() -> None:
    """Its run, stage, day and epoch share its figures, and its methods and factor are those of the one before."""
    method, grid = Looked({"cpu": "rapl"}), Looked(GRID)
    count, bands, shared = Count(), [], []
    for seq in range(5):
        bands.append(Looked({"cpu": (9.0, 11.0)}))
        used = {"joules": {"cpu": 10.0}, "band": bands[-1], "method": method, "intensity": grid, "co2_kg": 1.0}
        count.add(record(event="epoch", seq=seq, epoch=seq, start="2026-01-01T00:00:00+00:00", **used))
        shared.append((method.times, grid.times))
    assert [band.times for band in bands] == [1] * 5
    (run,) = count.result()
    assert run.sum.parts["cpu", "rapl"].joules == 50.0
    assert len(run.epochs) == 5
    assert shared == shared[:1] * 5
