from __future__ import annotations

import math
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from eco2ai_callbacks.session.ledger import KEPT, Ledger
from eco2ai_callbacks.usage import Reading, Usage

# What is used between one reading and the next: seconds, and joules per channel.
STEPS = st.lists(
    st.tuples(
        st.floats(0, 1e6),
        st.dictionaries(st.sampled_from(["cpu", "ram", "gpu:a"]), st.floats(0, 1e9)),
        st.sampled_from(["train", "validate", "other"]),
    ),
    max_size=12,
)


def caused(g_per_kwh: float) -> Callable[[float, float], float]:
    """Emissions at a factor that holds at all times."""
    return lambda joules, seconds: joules / 3.6e6 * g_per_kwh


def test_a_mark_is_what_was_used_since_the_one_before():
    ledger = Ledger(Reading(10.0, {"cpu": 100.0}), caused(500.0))
    assert ledger.mark(Reading(12.0, {"cpu": 136.0}), "train") == Usage(2.0, {"cpu": 36.0}, 36.0 / 3.6e6 * 500.0)
    assert ledger.mark(Reading(13.0, {"cpu": 137.0}), "train").joules == {"cpu": 1.0}
    assert ledger.marked == Reading(13.0, {"cpu": 137.0})


def test_looking_changes_nothing():
    ledger = Ledger(Reading(0.0, {"cpu": 0.0}), caused(500.0))
    assert ledger.since(Reading(1.0, {"cpu": 5.0})) == ledger.since(Reading(1.0, {"cpu": 5.0}))
    assert ledger.total == Usage()
    assert ledger.marked.t == 0.0


def test_grams_are_what_the_grid_returns_for_each_stretch():
    asked = []

    def emissions(joules: float, seconds: float) -> float:
        asked.append((joules, seconds))
        return 7.0 * len(asked)

    ledger = Ledger(Reading(0.0, {"cpu": 0.0}), emissions)
    assert ledger.mark(Reading(2.0, {"cpu": 5.0}), "train").grams == 7.0
    assert ledger.mark(Reading(3.0, {"cpu": 11.0}), "train").grams == 14.0
    assert asked == [(5.0, 2.0), (6.0, 1.0)]
    assert ledger.total.grams == 21.0


def test_energy_does_not_include_what_the_grid_adds():
    usage = Ledger(Reading(0.0, {"cpu": 0.0}), caused(750.0)).mark(Reading(1.0, {"cpu": 3.6e6}), "train")
    assert usage.energy_kwh == 1.0
    assert usage.grams == 750.0


def test_where_nothing_is_measured_time_passes_and_nothing_else():
    ledger = Ledger(Reading(0.0), caused(500.0))
    assert ledger.mark(Reading(4.0), "train") == Usage(4.0, {}, None)
    assert ledger.total == Usage(4.0, {}, None)


def test_a_reading_from_before_the_last_mark_is_no_time():
    ledger = Ledger(Reading(5.0, {"cpu": 5.0}), caused(500.0))
    assert ledger.since(Reading(4.0, {"cpu": 4.0})) == Usage(0.0, {"cpu": 0.0}, 0.0)


def test_the_total_begins_with_what_earlier_sessions_used():
    ledger = Ledger(Reading(0.0, {"cpu": 0.0}), caused(500.0), before=Usage(100.0, {"ram": 7.0}, 2.0))
    ledger.mark(Reading(1.0, {"cpu": 3.6e6}), "train")
    assert ledger.total == Usage(101.0, {"ram": 7.0, "cpu": 3.6e6}, 502.0)


def test_marks_of_one_name_are_summed_and_an_unknown_name_has_none():
    ledger = Ledger(Reading(0.0, {"cpu": 0.0}), caused(500.0))
    for t, name in enumerate(("train", "validate", "train"), 1):
        ledger.mark(Reading(float(t), {"cpu": 10.0 * t}), name)
    train = ledger.sum("train")
    assert train is not None
    assert (train.seconds, train.joules) == (2.0, {"cpu": 20.0})
    assert ledger.sum("test") is None


@given(STEPS)
def test_any_marks_sum_to_the_total_and_leave_no_second_and_no_joule_out(steps):
    t, joules = 3.0, {"cpu": 1.0}
    ledger = Ledger(Reading(t, dict(joules)), caused(440.0))
    marks = []
    for seconds, used, name in steps:
        t += seconds
        joules = {c: joules.get(c, 0.0) + used.get(c, 0.0) for c in joules.keys() | used.keys()}
        marks.append(ledger.mark(Reading(t, dict(joules)), name))
    total = ledger.total
    assert math.isclose(total.seconds, t - 3.0, rel_tol=1e-9, abs_tol=1e-6)
    assert math.isclose(total.total_j or 0.0, sum(joules.values()) - 1.0, rel_tol=1e-9, abs_tol=1e-6)
    by_hand = sum(marks, Usage())
    assert by_hand == total
    by_name = sum((ledger.sum(n) or Usage() for n in ("train", "validate", "other")), Usage())
    assert math.isclose(by_name.total_j or 0.0, total.total_j or 0.0, rel_tol=1e-9)
    assert math.isclose(by_name.seconds, total.seconds, rel_tol=1e-9)
    assert math.isclose(by_name.grams or 0.0, total.grams or 0.0, rel_tol=1e-9)
    assert math.isclose(total.grams or 0.0, (total.energy_kwh or 0.0) * 440.0, rel_tol=1e-9)


def test_it_keeps_the_sums_of_the_latest_segments_only() -> None:
    ledger = Ledger(Reading(0.0), lambda joules, seconds: 0.0)
    for number in range(3 * KEPT):
        ledger.mark(Reading(2.0 * number + 1.0), number)
        ledger.mark(Reading(2.0 * number + 2.0), "each time")
    assert len(ledger._sums) == KEPT
    assert ledger.sum(0) is None
    assert [usage.seconds for usage in (ledger.sum(3 * KEPT - 1), ledger.sum("each time")) if usage] == [
        1.0,
        3.0 * KEPT,
    ]
    assert ledger.total.seconds == 6.0 * KEPT
