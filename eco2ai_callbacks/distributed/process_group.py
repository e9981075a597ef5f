"""The exchange of messages between ranks, over the process group that their framework has set up.

Opens no socket, and imports no framework that is not loaded. A call returns on a rank only when all ranks have made
it, and raises what the framework raises where one has ended.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from eco2ai_callbacks.distributed.meeting import Meeting
from eco2ai_callbacks.distributed.messages import Gather, Meet, SharedStore
from eco2ai_callbacks.errors import SettingsError, refusal
from eco2ai_callbacks.guard import Guard, logger

# The framework whose process group the ranks of a custom loop exchange their figures over.
Ranks = Literal["auto", "torch", "jax"] | None
RANKS: tuple[Ranks, ...] = ("auto", "torch", "jax", None)
# Seconds to wait for the other ranks. They start a training together: the framework has just synchronised them.
WAIT_S = 30.0


class Group(NamedTuple):
    """The processes of a job.

    Args:
        rank: Number of this process.
        size: Number of processes.
        gather: Sends a message to all of them, and returns the message of each.
        meet: Finds out whether all of them come to the end.
    """

    rank: int
    size: int
    gather: Gather
    meet: Meet = lambda able: able


def check_ranks(ranks: Ranks) -> Ranks:
    """Return the framework whose process group ranks exchange over, where it is one that is known.

    Raises:
        SettingsError: It is not.
    """
    if ranks not in RANKS:
        raise SettingsError(refusal(f"ranks={ranks!r}", "'auto', 'torch', 'jax' or None", "argument"))
    return ranks


def find_group(ranks: Ranks, guard: Guard, modules: Mapping[str, Any] = sys.modules) -> Group | None:
    """Return the process group that the user names; ``None`` where there is none, or only this process in it.

    All ranks must call this.

    Args:
        ranks: ``auto``: torch's where it is initialised, else jax's; ``torch``; ``jax``; ``None``: no exchange.
        guard: Records that a group was named and is not initialised.
        modules: The loaded modules.
    """
    if ranks in ("auto", "torch") and has_torch_group(modules):
        return torch_group(modules)
    if ranks in ("auto", "jax") and has_jax_group(modules):
        return jax_group(modules)
    if ranks in ("torch", "jax"):
        guard.record(f"ranks: {ranks}.distributed is not initialised, so this rank is measured alone")
    return None


def has_torch_group(modules: Mapping[str, Any] = sys.modules) -> bool:
    """Return whether this process has initialised ``torch.distributed``.

    Args:
        modules: The loaded modules.
    """
    group = getattr(modules.get("torch"), "distributed", None)
    return bool(group is not None and group.is_available() and group.is_initialized())


def torch_group(modules: Mapping[str, Any] = sys.modules, wait_s: float = WAIT_S) -> Group | None:
    """Return the default process group of ``torch.distributed``; ``None`` where there is one process or no group.

    All ranks must call this. Where some do not, because a script gives the callback to its first rank only, nothing may
    be exchanged: our collectives would pair with the training's. So the ranks first agree on it in the group's store.

    Args:
        modules: The loaded modules.
        wait_s: Seconds that the ranks that call this wait for the others.
    """
    if not has_torch_group(modules):
        return None
    group = modules["torch"].distributed
    if group.get_world_size() < 2:
        return None
    store = _store(group)
    rank, size = group.get_rank(), group.get_world_size()
    meeting = None if store is None else Meeting(store, rank, size)
    if meeting is not None and not Guard().call("ranks", lambda: meeting.all_ask(wait_s), True):
        logger.warning("not all %d ranks measure, or not at the same time: each knows its own part alone", size)
        return None

    def meet(able: bool) -> bool:
        if meeting is None:
            return able
        if not able:
            Guard().call("ranks", meeting.leave, None)
            return False
        return Guard().call("ranks", lambda: meeting.all_ask(wait_s), False)

    def gather(told: Any) -> list[Any]:
        heard: list[Any] = [None] * group.get_world_size()
        group.all_gather_object(heard, told)
        return heard

    return Group(rank, size, gather, meet)


def torch_rank(modules: Mapping[str, Any] = sys.modules) -> tuple[int, int] | None:
    """Return rank and size of the group of ``torch.distributed``; ``None`` without one. Waits for no other rank.

    Args:
        modules: The loaded modules.
    """
    if not has_torch_group(modules):
        return None
    group = modules["torch"].distributed
    return group.get_rank(), group.get_world_size()


def torch_store(modules: Mapping[str, Any] = sys.modules) -> SharedStore | None:
    """Return what ranks share in the store of ``torch.distributed``.

    ``None`` where there is one process, no group or no store.

    Args:
        modules: The loaded modules.
    """
    found = torch_rank(modules)
    store = None if found is None or found[1] < 2 else _store(modules["torch"].distributed)
    if store is None:
        return None

    def agree(key: str, value: str) -> str:
        # The first one sets it: an absent key is compared as if it held the empty text.
        return str(store().compare_set(f"eco2ai/{key}", "", value).decode())

    def add(key: str, number: int) -> int:
        return int(store().add(f"eco2ai/{key}", number))

    return SharedStore(agree, add)


def _store(group: Any) -> Callable[[], Any] | None:
    """Return what opens the group's store; ``None`` where this version of torch has none."""
    found: Callable[[], Any] | None = getattr(getattr(group, "distributed_c10d", None), "_get_default_store", None)
    return found


def has_jax_group(modules: Mapping[str, Any] = sys.modules) -> bool:
    """Return whether this process has initialised ``jax.distributed``; makes no call that would open a device.

    Args:
        modules: The loaded modules.
    """
    is_initialized = getattr(getattr(modules.get("jax"), "distributed", None), "is_initialized", None)
    return bool(is_initialized is not None and is_initialized())


def jax_group(modules: Mapping[str, Any] = sys.modules) -> Group | None:
    """Return the processes of ``jax.distributed``; ``None`` where this is the only one.

    Args:
        modules: The loaded modules.
    """
    jax = modules.get("jax")
    if jax is None or jax.process_count() < 2:
        return None
    import pickle

    from numpy import frombuffer, pad, uint8, uint32

    process_allgather = importlib.import_module("jax.experimental.multihost_utils").process_allgather

    def gather(told: Any) -> list[Any]:
        # Only arrays of one shape can be exchanged: shorter messages are padded.
        data = frombuffer(pickle.dumps(told), uint8)
        sizes = [int(size) for size in process_allgather(uint32(data.size)).reshape(-1)]
        rows = process_allgather(pad(data, (0, max(sizes) - data.size)))
        return [pickle.loads(bytes(row[:size])) for row, size in zip(rows, sizes, strict=True)]

    return Group(jax.process_index(), jax.process_count(), gather)
