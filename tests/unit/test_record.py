from __future__ import annotations

import dataclasses
import json
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eco2ai_callbacks.record import ADDING_EVENTS, EVENTS, FIELDS, STAGES, Record, banded, measured, summary
from eco2ai_callbacks.usage import Method, Usage

RAPL = Method("rapl", 0.95, 1.05, counter=True, scope="job")
NVML = Method("nvml-energy", 0.9, 1.1, edge_j=5.0, counter=True, scope="device")
RAM = Method("ram-model", 0.5, 1.5)

FULL = Record(
    run="a1",
    writer="b2",
    seq=7,
    prev="c" * 64,
    hmac="d" * 64,
    parent="e5",
    project="demo",
    description="what it is",
    host="f6",
    rank=3,
    world_size=8,
    pid=4711,
    event="epoch",
    epoch=2,
    attempt=1,
    stage="train",
    start="2026-01-01T00:00:00.000+00:00",
    seconds=12.5,
    joules={"cpu": 100.0, "gpu:GPU-a": 900.0},
    method={"cpu": "rapl", "gpu:GPU-a": "nvml-energy"},
    band={"cpu": (95.0, 105.0), "gpu:GPU-a": (800.0, 1000.0)},
    accuracy={"cpu": (0.95, 1.05, 0.0, True), "gpu:GPU-a": (0.9, 1.1, 5.0, True)},
    attribution={"cpu": "job's process tree", "gpu:GPU-a": "whole device"},
    covers={"cpu": ("cpu",), "gpu:GPU-a": ("gpu",)},
    measured_share=1.0,
    not_covered=("TPU",),
    energy_kwh=1000 / 3.6e6,
    co2_kg=1e-4,
    epoch_energy_kwh=1.0,
    epoch_co2_kg=2.0,
    pue=1.2,
    intensity={"g_per_kwh": 300.0, "region": "FR"},
    cost=0.5,
    samples=640,
    tokens=64_000,
    epoch_total={"energy_kwh": 1.0, "co2_kg": 2.0, "seconds": 3.0},
    total={"energy_kwh": 1.0, "co2_kg": 2.0, "seconds": 3.0, "energy_band_kwh": (0.5, 2.0)},
    metrics={"loss": 0.25},
    shared_with=("g7",),
    failures=("NVML: insufficient permissions",),
    ended="finished",
    version="1.2.3",
    sources=({"name": "RAPL", "used": True, "reason": "", "methods": {"cpu": "rapl"}, "covers": ("cpu",)},),
    carried={"energy_kwh": 1.0, "co2_kg": None, "seconds": 2.0},
    continues={"writer": "h8", "hash": "i" * 64},
    attempts=((0, 1, 1),),
    beside={"water_on_site_l": 1.5},
    basis={"wue": 1.8},
    sci={"g_per_unit": 2.0, "unit": "epoch", "units": 3, "operational_kg": 0.005, "embodied_kg": 0.001},
    model_check={
        "cpu": "a",
        "method": "b",
        "counter_j": 1.0,
        "model_j": 2.0,
        "seconds": 3.0,
        "busy_s": 4.0,
        "threads": 8.0,
    },
    phases={"data": (2.5, 100.0), "train": (10.0, 900.0)},
    steps=(50, 10, 640, None),
    gpu_health={"GPU-a": {"index": 0, "seconds": 12.0, "busy": 0.5, "throttle": {"power cap": 0.25}}},
    siblings=("k2",),
)


class TestRecord:
    def test_the_example_fills_every_field(self):
        empty = Record(run="a1", writer="b2", event="epoch")
        same = [name for name in FIELDS if getattr(FULL, name) == getattr(empty, name)]
        assert same == ["schema", "run", "writer", "event"]

    def test_it_comes_back_from_json_with_all_its_fields(self):
        assert Record.from_dict(json.loads(json.dumps(FULL.to_dict()))) == FULL

    def test_its_dict_has_the_fields_in_their_order_and_nothing_but_plain_values(self):
        values = FULL.to_dict()
        assert tuple(values) == FIELDS == tuple(f.name for f in dataclasses.fields(Record))
        assert values["band"] == {"cpu": [95.0, 105.0], "gpu:GPU-a": [800.0, 1000.0]}
        assert values["sources"][0]["covers"] == ["cpu"]

    def test_fields_of_a_later_version_are_passed_over(self):
        assert Record.from_dict(FULL.to_dict() | {"from_the_future": 1}) == FULL

    def test_fields_that_an_earlier_version_did_not_write_have_their_defaults(self):
        old = Record.from_dict({"run": "a1", "writer": "b2", "event": "stop"})
        assert old == Record(run="a1", writer="b2", event="stop")

    def test_what_adds_up_is_what_a_mark_writes(self):
        assert {event for event in EVENTS if Record(run="a", writer="b", event=event).adds} == ADDING_EVENTS
        assert sorted(ADDING_EVENTS) == ["epoch", "stage", "stop"]
        assert STAGES == ("train", "validate", "test", "predict", "other")


class Scalar:
    """As NumPy's and torch's: a number that JSON does not know."""

    ndim = 0

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


class Array(Scalar):
    ndim = 1

    def __str__(self) -> str:
        return "[1 2]"


class TestMetrics:
    @pytest.mark.parametrize(
        ("given_", "written"),
        [
            (0.5, 0.5),
            (3, 3),
            (True, True),
            (None, None),
            ("text", "text"),
            (math.nan, None),
            (-math.inf, None),
            (Scalar(0.25), 0.25),
            (Scalar(math.nan), None),
            (Array(1.0), "[1 2]"),
            (Fraction(1, 4), 0.25),
            (Fraction(10**400), str(10**400)),
            (frozenset({1}), "frozenset({1})"),
            ((1, math.nan), [1, None]),
            ({1: Scalar(2.0)}, {"1": 2.0}),
        ],
    )
    def test_whatever_a_user_hands_in_becomes_json(self, given_: Any, written: Any):
        record = Record(run="a", writer="b", event="metrics", metrics={"x": given_})
        assert record.to_dict()["metrics"] == {"x": written}
        json.dumps(record.to_dict(), allow_nan=False)

    def test_a_subclass_of_int_becomes_an_int(self):
        class Level(int):
            def __repr__(self) -> str:
                return "high"

        value = Record(run="a", writer="b", event="metrics", metrics={"x": Level(3)}).to_dict()["metrics"]["x"]
        assert type(value) is int


class TestMeasured:
    def test_it_says_what_was_used_how_it_is_known_and_how_sure_it_is(self):
        found = measured(Usage(2.0, {"cpu": 100.0, "ram": 300.0}, 40.0), {"cpu": RAPL, "ram": RAM, "gpu:a": NVML})
        assert found == {
            "seconds": 2.0,
            "joules": {"cpu": 100.0, "ram": 300.0},
            "method": {"cpu": "rapl", "ram": "ram-model"},
            "band": {"cpu": (95.0, 105.0), "ram": (150.0, 450.0)},
            "attribution": {"cpu": "job's process tree", "ram": "whole machine"},
            "accuracy": {"cpu": (0.95, 1.05, 0.0, True), "ram": (0.5, 1.5, 0.0, False)},
            "measured_share": 0.25,
            "energy_kwh": 400.0 / 3.6e6,
            "co2_kg": 0.04,
            "cost": None,
        }
        assert Record(run="a", writer="b", event="stage", **found).seconds == 2.0

    @pytest.mark.parametrize("usage", [Usage(1.0), Usage(1.0, {"cpu": 0.0}, 0.0)])
    def test_of_no_energy_no_share_is_measured(self, usage: Usage):
        assert measured(usage, {"cpu": RAPL})["measured_share"] is None

    def test_a_channel_that_no_method_is_known_for_counts_and_is_not_called_measured(self):
        found = measured(Usage(1.0, {"cpu": 100.0, "carried": 100.0}), {"cpu": RAPL})
        assert found["energy_kwh"] == 200.0 / 3.6e6
        assert found["measured_share"] == 0.5
        assert found["method"].keys() == found["band"].keys() == {"cpu"}


class TestBanded:
    def test_a_sum_without_energy_has_no_band(self):
        assert banded(Usage(1.0), {}, (0.9, 1.1)) == summary(Usage(1.0))
        assert banded(Usage(1.0, {"cpu": 0.0}, 0.0), {"cpu": RAPL}, (0.9, 1.1)).keys() == {
            "energy_kwh",
            "co2_kg",
            "seconds",
        }
        assert "energy_band_kwh" not in banded(Usage(1.0, {"carried": 1.0}, 0.0), {}, (0.9, 1.1))

    def test_parts_of_one_method_add_linearly(self):
        found = banded(Usage(1.0, {"a": 1.8e6, "b": 1.8e6}), {"a": RAPL, "b": RAPL}, (1.0, 1.0))
        assert found["energy_band_kwh"] == pytest.approx((0.95, 1.05))
        assert "co2_band_kg" not in found

    def test_different_methods_add_in_quadrature(self):
        # 1 kWh by RAPL ± 0.05, and 0.24 kWh by the memory's model ± 0.12: sqrt(0.05² + 0.12²) = 0.13
        found = banded(Usage(1.0, {"cpu": 3.6e6, "ram": 0.864e6}), {"cpu": RAPL, "ram": RAM}, (1.0, 1.0))
        assert found["energy_band_kwh"] == pytest.approx((1.11, 1.37))

    def test_an_edge_counts_once_for_each_end_of_the_sum(self):
        found = banded(Usage(1.0, {"gpu:a": 1000.0}), {"gpu:a": NVML}, (1.0, 1.0))
        assert found["energy_band_kwh"] == pytest.approx((890.0 / 3.6e6, 1110.0 / 3.6e6))

    def test_a_channel_without_a_method_is_as_unsure_as_the_others(self):
        found = banded(Usage(1.0, {"cpu": 1.8e6, "carried": 1.8e6}), {"cpu": RAPL}, (1.0, 1.0))
        assert found["energy_band_kwh"] == pytest.approx((0.95, 1.05))

    def test_the_grid_adds_to_co2_in_quadrature_of_the_logarithms(self):
        half = Method("model", 0.5, 2.0)
        found = banded(Usage(1.0, {"cpu": 3.6e6}, 1000.0), {"cpu": half}, (0.5, 2.0))
        assert found["co2_band_kg"] == pytest.approx((2 ** -math.sqrt(2), 2 ** math.sqrt(2)))
        sure = banded(Usage(1.0, {"cpu": 3.6e6}, 1000.0), {"cpu": half}, (1.0, 1.0))
        assert sure["co2_band_kg"] == pytest.approx((0.5, 2.0))
        exact = banded(Usage(1.0, {"cpu": 3.6e6}, 1000.0), {"cpu": Method("exact", 1.0, 1.0)}, (1.0, 1.0))
        assert exact["co2_band_kg"] == (1.0, 1.0)

    def test_co2_may_be_nothing_where_the_energy_may(self):
        found = banded(Usage(1.0, {"cpu": 3.6e6}, 1000.0), {"cpu": Method("guess", 0.0, 3.0)}, (0.9, 1.1))
        assert found["co2_band_kg"][0] == 0.0
        assert banded(Usage(1.0, {"cpu": 3.6e6}, 1000.0), {"cpu": RAPL}, (0.0, 2.0))["co2_band_kg"][0] == 0.0

    @given(
        st.dictionaries(st.sampled_from(["cpu", "ram", "gpu:a"]), st.floats(1.0, 1e9), min_size=1),
        st.floats(0.1, 1.0),
        st.floats(1.0, 10.0),
    )
    def test_every_band_holds_its_figure(self, joules: dict[str, float], low: float, high: float):
        methods = {"cpu": RAPL, "ram": RAM, "gpu:a": NVML}
        found = banded(Usage(1.0, joules, 5.0), methods, (low, high))
        for figure, band in (("energy_kwh", "energy_band_kwh"), ("co2_kg", "co2_band_kg")):
            below, above = found[band]
            assert below <= found[figure] * (1 + 1e-12)
            assert found[figure] * (1 - 1e-12) <= above
