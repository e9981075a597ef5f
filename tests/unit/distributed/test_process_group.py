"""The process group that ranks exchange over."""

from __future__ import annotations

import types

import pytest
from fake_torch import Store, Torch

from eco2ai_callbacks.distributed.process_group import (
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


def test_without_a_store_the_ranks_are_taken_at_their_word() -> None:
    group = torch_group({"torch": Torch(2)})
    assert group is not None
    assert group.meet(True)
    assert not group.meet(False)


def test_a_framework_that_has_no_ranks_is_refused() -> None:
    assert check_ranks("torch") == "torch"
    assert check_ranks(None) is None
    with pytest.raises(SettingsError, match="ranks='mpi'"):
        check_ranks("mpi")  # type: ignore[arg-type]
