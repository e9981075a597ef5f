"""Which trackers of a process are inside of each other or beside each other, and each one's part of its energy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from eco2ai_callbacks.usage import component_of

# Threads that together were on a CPU for no more than this part of the time were waiting, for a device or for other
# processes. What is left of their CPU time is that of the waiting itself, and says nothing of what they wait for.
WAITING = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A tracker of the process.

    Args:
        run: Id of its run.
        measures: What it measures: the host, and the root of the process tree.
        thread: The thread that has started it.
        around: The trackers inside which it began, the nearest first.
    """

    run: str
    measures: tuple[str, int | None]
    thread: object
    around: tuple[Node, ...] = ()


class Division:
    """The trackers of a process that are measuring, as a tree: inside each, and outside of all, some are siblings.

    Args:
        nodes: The trackers, the oldest first.
    """

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self.nodes: tuple[Node, ...] = tuple(nodes)
        present = frozenset(self.nodes)
        self._parents = {node: next((each for each in node.around if each in present), None) for node in self.nodes}
        self._rivals = {node: self._beside(node) for node in self.nodes}
        # Those of whose figures a part belongs to others.
        self.sharing: frozenset[Node] = frozenset(
            node for node in self.nodes if any(len(self._rivals[each]) > 1 for each in self._chain(node))
        )

    def siblings(self, node: Node) -> tuple[str, ...]:
        """Return the runs that a tracker's energy is divided with: those beside it, and beside those around it."""
        chain = tuple(self._chain(node))
        return tuple(sorted({each.run for one in chain for each in self._rivals[one]} - {one.run for one in chain}))

    def parts(
        self, counted: Mapping[Node, Set[str]], busy_s: Mapping[Node, float | None], seconds: float
    ) -> Mapping[Node, Mapping[str, float]]:
        """Return the part of what each channel of each tracker has counted since the last moment that is its own.

        A processor's energy is divided by the CPU time of the threads that have started the trackers. Where one of them
        is not known, or all were waiting, it is divided equally, and so is that of GPUs and memory.

        Args:
            counted: The channels of each tracker that shares.
            busy_s: The CPU time of each one's thread since the last moment.
            seconds: Time since the last moment.
        """
        # A tracker that does not measure a GPU divides it with others where one inside it does.
        held: dict[Node, set[str]] = {}
        for node, channels in counted.items():
            for each in self._chain(node):
                held.setdefault(each, set()).update(channels)
        own = {
            node: {
                channel: _part(
                    node, channel, [each for each in rivals if channel in held.get(each, ())], busy_s, seconds
                )
                for channel in held.get(node, ())
            }
            for node, rivals in self._rivals.items()
        }
        return {
            node: {channel: math.prod(own[each][channel] for each in self._chain(node)) for channel in channels}
            for node, channels in counted.items()
        }

    def _chain(self, node: Node) -> Iterator[Node]:
        """Return a tracker and those around it that are measuring, the nearest first."""
        found: Node | None = node
        while found is not None:
            yield found
            found = self._parents[found]

    def _beside(self, node: Node) -> tuple[Node, ...]:
        """Return a tracker and those beside it, one for each other run: trackers of one run are no siblings."""
        found = {node.run: node}
        for each in self.nodes:
            if each.measures == node.measures and self._parents[each] is self._parents[node]:
                found.setdefault(each.run, each)
        return tuple(found.values())


def _part(
    node: Node, channel: str, rivals: Sequence[Node], busy_s: Mapping[Node, float | None], seconds: float
) -> float:
    """Return a tracker's part among those beside it that measure a channel."""
    if component_of(channel) == "cpu" and len(rivals) > 1:
        works = [work for work in (_work(each, rivals, busy_s) for each in rivals) if work is not None]
        whole = math.fsum(works)
        if len(works) == len(rivals) and whole > WAITING * seconds:
            return works[rivals.index(node)] / whole
    return 1 / len(rivals)


def _work(node: Node, rivals: Sequence[Node], busy_s: Mapping[Node, float | None]) -> float | None:
    """Return the CPU time of a tracker's thread; its part of it where several were started there, as by tasks."""
    work = busy_s.get(node)
    return None if work is None else work / sum(rival.thread is node.thread for rival in rivals)
