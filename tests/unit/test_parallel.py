"""Sums of usages that ran side by side."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eco2ai_callbacks.parallel import sum_parallel
from eco2ai_callbacks.usage import Usage

CHANNELS = st.sampled_from(["cpu", "ram", "gpu:GPU-a", "gpu:GPU-b"])
# Figures so small that a division leaves the range of normal numbers are no figures of a meter.
JOULES = st.just(0.0) | st.floats(1e-9, 1e12)
USAGES = st.builds(Usage, st.floats(0, 1e9), st.dictionaries(CHANNELS, JOULES), st.none() | st.floats(0, 1e9))


def test_energies_add_up_and_durations_do_not():
    found = sum_parallel([Usage(2.0, {"cpu": 1.0}, 3.0), Usage(2.5, {"cpu": 2.0, "ram": 4.0}), Usage(2.0, {}, 1.0)])
    assert found == Usage(2.0, {"cpu": 3.0, "ram": 4.0}, 4.0)


def test_what_nobody_measured_is_none():
    assert sum_parallel([Usage(1.0), Usage(1.0)]) == Usage(1.0)
    assert sum_parallel([]) == Usage()


@given(st.lists(USAGES, min_size=1, max_size=6), st.randoms())
def test_all_get_the_same_figures_whatever_the_order(parts: list[Usage], chance):
    shuffled = [parts[0], *parts[1:]]
    chance.shuffle(shuffled)
    one, other = sum_parallel(parts), sum_parallel(shuffled)
    assert (one.joules, one.grams) == (other.joules, other.grams)


def test_the_work_of_a_sum_grows_with_the_parts_and_not_with_their_square():
    looked_up = [0]

    class Channel(str):
        __slots__ = ()

        def __hash__(self) -> int:
            looked_up[0] += 1
            return super().__hash__()

    def looked_up_for(ranks: int) -> int:
        # Each rank has a GPU of its own.
        parts = [Usage(2.0, {Channel("cpu"): 1.0, Channel(f"gpu:{rank}"): 3.0}) for rank in range(ranks)]
        looked_up[0] = 0
        assert sum_parallel(parts).total_j == 4.0 * ranks
        return looked_up[0]

    assert looked_up_for(80) <= 10 * looked_up_for(8)
