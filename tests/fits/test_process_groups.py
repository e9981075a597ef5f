"""What ranks tell each other through the stores and arrays of real frameworks."""

from __future__ import annotations

import importlib.util
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fake_torch import Torch

from eco2ai_callbacks.distributed.meeting import Meeting
from eco2ai_callbacks.distributed.messages import (
    RankUsage,
)
from eco2ai_callbacks.distributed.process_group import jax_group, torch_group
from eco2ai_callbacks.usage import Usage


def test_a_lightning_strategy_with_ways_of_its_own_is_asked_for_each_rank_s_word() -> None:
    for package in ("lightning", "pytorch_lightning"):
        if importlib.util.find_spec(package) is not None:
            break
    else:
        pytest.skip("neither lightning nor pytorch_lightning is installed")
    from eco2ai_callbacks.lightning import _gather

    strategy = types.SimpleNamespace(broadcast=lambda told, src: f"{told} of {src}")
    gather = _gather(types.SimpleNamespace(world_size=2, strategy=strategy))  # type: ignore[arg-type]
    assert gather is not None
    assert gather("word") == ["word of 0", "word of 1"]
    assert _gather(types.SimpleNamespace(world_size=1, strategy=strategy)) is None  # type: ignore[arg-type]


def test_ranks_agree_on_whether_all_of_them_ask() -> None:
    """In one store, as torchrun keeps it for ranks that it starts again."""
    torch = pytest.importorskip("torch")
    store = torch.distributed.HashStore()

    def ask(ranks: int, wait_s: float) -> list[bool]:
        with ThreadPoolExecutor(ranks) as pool:
            return list(pool.map(lambda rank: Meeting(lambda: store, rank, 3).all_ask(wait_s), range(ranks)))

    assert ask(3, wait_s=30.0) == [True] * 3
    assert ask(2, wait_s=0.1) == [False] * 2
    assert ask(1, wait_s=0.1) == [False]
    Meeting(lambda: store, 0, 3).leave()
    assert ask(3, wait_s=30.0) == [True] * 3


def test_where_some_ranks_do_not_ask_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    torch = pytest.importorskip("torch")
    alone = Torch(2)
    alone.distributed_c10d = types.SimpleNamespace(_get_default_store=torch.distributed.HashStore)  # type: ignore[attr-defined]
    assert torch_group({"torch": alone}, wait_s=0.05) is None
    assert "not all 2 ranks measure" in caplog.text


def test_jax_s_processes_tell_each_other_in_arrays_of_one_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = pytest.importorskip("numpy")
    told = ["short", RankUsage(total=Usage(1.0, {"cpu": 0.1 + 0.2})), {"long": "x" * 500}]
    slots: list[Any] = [None] * 3
    barrier = threading.Barrier(3, timeout=30)
    place = threading.local()

    def process_allgather(value: Any) -> Any:
        slots[place.rank] = value
        barrier.wait()
        found = numpy.stack(slots)
        barrier.wait()
        return found

    utils = types.ModuleType("multihost_utils")
    utils.process_allgather = process_allgather  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jax.experimental.multihost_utils", utils)
    heard: list[Any] = [None] * 3

    def run(rank: int) -> None:
        place.rank = rank
        jax = types.SimpleNamespace(process_count=lambda: 3, process_index=lambda: rank)
        group = jax_group({"jax": jax})
        assert group is not None
        assert (group.rank, group.size) == (rank, 3)
        heard[rank] = group.gather(told[rank])

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert heard == [told, told, told]
