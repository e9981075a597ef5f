"""The process group that ranks exchange over."""

from __future__ import annotations

import types

import pytest
from fake_torch import Store, Torch

from eco2ai_callbacks.distributed.process_group import (
    all_ask,
    check_ranks,
    jax_group,
    torch_group,
    torch_rank,
    torch_store,
)
from eco2ai_callbacks.errors import SettingsError


def test_a_single_process_tells_nobody() -> None:
    assert torch_group({}) is None
    assert torch_group({"torch": Torch(1)}) is None
    assert torch_group({"torch": Torch(2, initialised=False)}) is None
    assert torch_group({"torch": Torch(2, available=False)}) is None
    assert jax_group({}) is None
    assert jax_group({"jax": types.SimpleNamespace(process_count=lambda: 1)}) is None


def test_torch_s_default_group_is_used() -> None:
    group = torch_group({"torch": Torch(3)})
    assert group is not None
    assert (group.rank, group.size) == (1, 3)
    assert group.gather("told") == [(0, "told"), (1, "told"), (2, "told")]


def test_rank_and_store_wait_for_nobody() -> None:
    store = Store()
    one, two = ({"torch": Torch(2, store=store)} for _ in range(2))
    assert torch_rank(one) == (1, 2)
    here = torch_store(one)
    there = torch_store(two)
    assert here is not None
    assert there is not None
    assert here.agree("run/0", "") == "", "nobody has given a value"
    asked = here.agree("run/0", "first"), there.agree("run/0", "second"), there.agree("run/1", "third")
    assert asked == ("first", "first", "third")
    assert (here.add("used", 7), there.add("used", 5), here.add("used", 0)) == (7, 12, 12)


def test_without_a_group_or_a_store_there_is_nothing_to_agree_in() -> None:
    assert torch_rank({}) is None
    for modules in (
        {},
        {"torch": Torch(1, store=Store())},
        {"torch": Torch(2)},
        {"torch": Torch(2, initialised=False)},
    ):
        assert torch_store(modules) is None


def test_nobody_waits_for_a_rank_that_has_ended_early() -> None:
    store = Store()
    assert all_ask(store, 1, wait_s=30.0)
    group = torch_group({"torch": Torch(2)})
    assert group is not None
    assert group.meet(True)  # without a store the ranks are taken at their word
    asks = Torch(2, store=store)
    store.add("eco2ai/1/asking", 1)  # the other rank
    started = torch_group({"torch": asks})
    assert started is not None
    assert started.meet(False) is False
    assert all_ask(store, 2, wait_s=3600.0) is False  # this returns


# In a job of 4,096, together no more often than in one of 100.
@pytest.mark.parametrize(("size", "each_per_s"), [(2, 100.0), (64, 100.0), (4096, 10_000 / 4096)])
def test_the_ranks_of_a_large_job_look_less_often_each(
    size: int, each_per_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, looks = [0.0], [0]

    class Counted(Store):
        def check(self, keys: list[str]) -> bool:
            looks[0] += 1
            return super().check(keys)

    def sleep(seconds: float) -> None:
        now[0] += seconds

    clock = types.SimpleNamespace(monotonic=lambda: now[0], sleep=sleep)
    monkeypatch.setattr("eco2ai_callbacks.distributed.process_group.time", clock)
    assert all_ask(Counted(), size, wait_s=30.0) is False
    assert 30.0 < now[0] < 32.0
    # Each look asks for the answer and for ranks that have ended.
    assert looks[0] / 2 / now[0] == pytest.approx(each_per_s, rel=0.05)


def test_a_framework_that_has_no_ranks_is_refused() -> None:
    assert check_ranks("torch") == "torch"
    assert check_ranks(None) is None
    with pytest.raises(SettingsError, match="ranks='mpi'"):
        check_ranks("mpi")  # type: ignore[arg-type]
