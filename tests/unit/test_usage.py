from __future__ import annotations

import itertools
import math
import pickle
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eco2ai_callbacks.parallel import sum_parallel
from eco2ai_callbacks.usage import Method, Reading, Usage, component_of, kwh

CHANNELS = st.sampled_from(["cpu", "ram", "gpu:GPU-a", "gpu:GPU-b"])
# Figures so small that a division leaves the range of normal numbers are no figures of a meter.
JOULES = st.just(0.0) | st.floats(1e-9, 1e12)
USAGES = st.builds(Usage, st.floats(0, 1e9), st.dictionaries(CHANNELS, JOULES), st.none() | st.floats(0, 1e9))


def test_a_kilowatt_hour_is_3_6_megajoules():
    assert kwh(3.6e6) == 1.0


@pytest.mark.parametrize(("channel", "component"), [("cpu", "cpu"), ("gpu:GPU-1:2", "gpu"), ("", "")])
def test_a_channel_belongs_to_the_component_before_its_colon(channel: str, component: str):
    assert component_of(channel) == component


class TestMethod:
    def test_its_band_is_a_factor_and_the_uncertainty_of_both_edges(self):
        assert Method("nvml-energy", 0.95, 1.05, edge_j=5.0).band(1000.0) == (940.0, 1060.0)

    def test_its_band_does_not_go_below_zero(self):
        assert Method("nvml-energy", 0.95, 1.05, edge_j=5.0).band(2.0) == (0.0, 12.1)


class TestReading:
    def test_since_is_the_difference_of_each_channel(self):
        assert Reading(2.0, {"cpu": 5.0, "ram": 3.0}).since(Reading(1.0, {"cpu": 1.5, "ram": 3.0})) == {
            "cpu": 3.5,
            "ram": 0.0,
        }

    def test_a_channel_that_appears_counts_from_zero(self):
        assert Reading(2.0, {"gpu:a": 5.0}).since(Reading(1.0)) == {"gpu:a": 5.0}

    def test_what_a_channel_counted_before_it_failed_is_kept_once(self):
        before, failed = Reading(1.0, {"cpu": 1.0}), Reading(2.0, {"cpu": 4.0}, frozenset({"cpu"}))
        assert failed.since(before) == {"cpu": 3.0}
        assert Reading(3.0, {"cpu": 4.0}, frozenset({"cpu"})).since(failed) == {}

    def test_a_channel_that_failed_without_counting_is_absent_and_not_zero(self):
        assert Reading(2.0, {"cpu": 1.0}, frozenset({"cpu"})).since(Reading(1.0, {"cpu": 1.0})) == {}

    def test_readings_of_two_threads_that_overlap_make_no_negative_energy(self):
        assert Reading(2.0, {"cpu": 4.0}).since(Reading(1.0, {"cpu": 5.0})) == {"cpu": 0.0}


class TestUsage:
    def test_nothing_measured_is_none_and_not_zero(self):
        nothing = Usage(3.0)
        assert (nothing.total_j, nothing.energy_kwh, nothing.co2_kg, nothing.power_w) == (None,) * 4
        assert nothing.component_kwh("cpu") is None

    def test_zero_joules_are_a_measurement(self):
        assert Usage(3.0, {"cpu": 0.0}, 0.0).energy_kwh == 0.0
        assert Usage(3.0, {"cpu": 0.0}, 0.0).co2_kg == 0.0

    def test_units(self):
        used = Usage(10.0, {"cpu": 1.8e6, "gpu:a": 0.9e6, "gpu:b": 0.9e6}, 400.0)
        assert used.energy_kwh == 1.0
        assert used.co2_kg == 0.4
        assert used.power_w == 360_000.0
        assert used.component_kwh("gpu") == 0.5
        assert used.component_kwh("ram") is None

    def test_no_time_has_no_power(self):
        assert Usage(0.0, {"cpu": 1.0}).power_w is None

    def test_a_sum_has_the_channels_of_either(self):
        assert Usage(1.0, {"cpu": 1.0}, None) + Usage(2.0, {"cpu": 2.0, "ram": 4.0}, 3.0) == Usage(
            3.0, {"cpu": 3.0, "ram": 4.0}, 3.0
        )

    def test_a_difference_has_the_channels_of_the_left(self):
        assert Usage(3.0, {"cpu": 3.0}, 3.0) - Usage(1.0, {"cpu": 1.0, "ram": 4.0}, 1.0) == Usage(
            2.0, {"cpu": 2.0}, 2.0
        )
        assert (Usage(3.0, {"cpu": 3.0}, 3.0) - Usage(1.0)).grams == 3.0
        assert (Usage(3.0, {"cpu": 3.0}) - Usage(1.0, {}, 2.0)).grams is None

    def test_a_cost_is_known_where_either_part_has_one(self):
        priced, free = Usage(1.0, {"cpu": 1.0}, 1.0, 0.5), Usage(1.0, {"cpu": 1.0}, 1.0)
        assert (priced + free).cost == (free + priced).cost == 0.5
        assert (priced + priced).cost == 1.0
        assert (priced - free).cost == 0.5
        assert (priced - priced).cost == 0.0
        assert (free - priced).cost is None
        assert sum_parallel([priced, free, priced]).cost == 1.0
        assert sum_parallel([free]).cost is None
        assert pickle.loads(pickle.dumps(priced)) == Usage.from_dict(priced.to_dict()) == priced

    def test_it_does_not_change_with_the_mapping_it_was_made_of(self):
        joules = {"cpu": 1.0}
        used = Usage(1.0, joules)
        joules["cpu"] = 2.0
        assert used.joules == {"cpu": 1.0}
        with pytest.raises(TypeError):
            used.joules["cpu"] = 3.0  # type: ignore[index]

    def test_it_pickles(self):
        used = Usage(1.0, {"cpu": 2.0}, 3.0)
        assert pickle.loads(pickle.dumps(used)) == used

    def test_equal_ones_hash_alike_whatever_the_order_of_channels(self):
        one, other = Usage(1.0, {"cpu": 1.0, "ram": 2.0}), Usage(1.0, {"ram": 2.0, "cpu": 1.0})
        assert one == other
        assert len({one, other}) == 1

    @given(USAGES)
    def test_it_comes_back_from_its_dict(self, used: Usage):
        values = used.to_dict()
        assert not isinstance(values["joules"], MappingProxyType)
        assert Usage.from_dict(values) == used

    @given(USAGES, USAGES)
    def test_a_sum_does_not_depend_on_the_order(self, one: Usage, other: Usage):
        assert one + other == other + one

    @given(USAGES, USAGES)
    def test_what_is_added_can_be_taken_away(self, one: Usage, other: Usage):
        back = one + other - other
        scale = 1e-12 * (1 + max([*one.joules.values(), *other.joules.values(), one.seconds, other.seconds]))
        assert math.isclose(back.seconds, one.seconds, rel_tol=1e-12, abs_tol=scale)
        assert back.joules.keys() == one.joules.keys() | other.joules.keys()
        for channel, joules in back.joules.items():
            assert math.isclose(joules, one.joules.get(channel, 0.0), rel_tol=1e-12, abs_tol=scale)

    @given(st.lists(USAGES, max_size=8))
    def test_the_energy_of_a_sum_is_the_sum_of_the_energies(self, parts: list[Usage]):
        whole = sum(parts, Usage())
        energies = [part.energy_kwh for part in parts if part.energy_kwh is not None]
        assert (whole.energy_kwh is None) == (not energies)
        assert math.isclose(whole.energy_kwh or 0.0, math.fsum(energies), rel_tol=1e-12)

    @given(USAGES)
    def test_nothing_added_changes_nothing(self, used: Usage):
        assert used + Usage() == used
        assert used - Usage() == used


@pytest.mark.parametrize(
    ("facts", "phrase"),
    [
        ({}, "whole machine"),
        ({"scope": "job"}, "job's process tree"),
        ({"scope": "device"}, "whole device"),
        ({"scope": "job", "note": "2 W per busy thread"}, "job's process tree, 2 W per busy thread"),
        ({"scope": "device", "part": "MIG 3/7 of device"}, "MIG 3/7 of device"),
        (
            {"scope": "device", "part": "MIG 3/7 of device", "note": "shared with other processes"},
            "MIG 3/7 of device, shared with other processes",
        ),
    ],
)
def test_whose_joules_they_are_is_one_phrase_made_of_facts(facts: dict[str, Any], phrase: str) -> None:
    assert Method("m", 0.9, 1.1, **facts).attribution == phrase


@pytest.mark.parametrize(("counter", "sensor", "measured"), [(0, 0, False), (1, 0, True), (0, 1, True)])
def test_joules_of_a_counter_or_a_sensor_are_measured(counter: int, sensor: int, measured: bool) -> None:
    assert Method("m", 0.9, 1.1, counter=bool(counter), sensor=bool(sensor)).measured is measured


class TestTimesOfChannels:
    """A read that failed: its channel's joules are in the next, and so is the time that they are of."""

    def readings(self) -> list[Reading]:
        return [
            Reading(0.0, {"cpu": 0.0, "gpu": 0.0}),
            Reading(10.0, {"cpu": 100.0, "gpu": 0.0}, frozenset({"gpu"}), {"gpu": 0.0}),
            Reading(20.0, {"cpu": 200.0, "gpu": 6000.0}),
            Reading(30.0, {"cpu": 300.0, "gpu": 9000.0}),
        ]

    def test_mean_power_is_over_the_time_that_each_channel_s_joules_are_of(self):
        first, missed, caught_up, after = self.readings()
        usage = Usage(10.0, caught_up.since(missed), None, beyond_s=caught_up.beyond(missed))
        assert usage.beyond_s == {"gpu": 10.0}
        assert usage.power_w == pytest.approx(10.0 + 300.0)
        # What was not measured is not in the power either.
        assert Usage(10.0, missed.since(first), None, beyond_s=missed.beyond(first)).power_w == pytest.approx(10.0)
        assert Usage(10.0, {"gpu": 1.0}, None, beyond_s={"gpu": -10.0}).power_w is None
        assert Usage(10.0, after.since(caught_up), None, beyond_s=after.beyond(caught_up)).beyond_s == {}

    def test_what_was_missing_and_what_was_caught_up_cancel_out(self):
        readings = self.readings()
        parts = [
            Usage(late.t - early.t, late.since(early), None, beyond_s=late.beyond(early))
            for early, late in itertools.pairwise(readings)
        ]
        total = parts[0] + parts[1] + parts[2]
        assert total.beyond_s == {}
        assert total.power_w == pytest.approx(310.0)
        assert (total - parts[2]).power_w == pytest.approx(310.0)
        assert (total - parts[0]).beyond_s == {"gpu": 10.0}

    def test_they_survive_json_and_pickling(self):
        usage = Usage(10.0, {"gpu": 6000.0}, None, beyond_s={"gpu": 10.0})
        assert Usage.from_dict(usage.to_dict()) == usage
        assert pickle.loads(pickle.dumps(usage)) == usage
        assert "beyond_s" not in Usage(10.0, {"gpu": 6000.0}).to_dict()

    def test_the_power_of_several_ranks_is_the_sum_of_theirs(self):
        late = Usage(10.0, {"cpu": 6000.0}, None, beyond_s={"cpu": 10.0})
        assert sum_parallel([late, Usage(10.0, {"cpu": 100.0})]).power_w == pytest.approx(310.0)
        assert sum_parallel([Usage(10.0, {"cpu": 0.0}, None, beyond_s={"cpu": 10.0})]).power_w == 0.0


class TestGaps:
    def test_a_gap_widens_the_band_on_both_sides(self):
        method = Method("nvml-power", 0.85, 1.15, edge_j=1.0, gap_j=(85.0, 500.0))
        assert method.band(200.0) == pytest.approx((170.0 - 2.0 - 85.0, 230.0 + 2.0 + 500.0))

    def test_a_segment_s_band_holds_its_own_gaps_alone(self):
        earlier = Method("nvml-power", 0.85, 1.15, gap_j=(85.0, 500.0))
        later = Method("nvml-power", 0.85, 1.15, gap_j=(100.0, 700.0))
        assert later.since(earlier).gap_j == (15.0, 200.0)
        assert later.since(later).gap_j == (0.0, 0.0)
        assert later.since(None) is later
