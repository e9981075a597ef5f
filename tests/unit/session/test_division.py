"""Which trackers of a process are siblings, and the part of each."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.session.division import Division, Node

HERE = ("host", None)
CPU = frozenset({"cpu"})


def node(run: str, *around: Node, thread: object = None, measures: tuple[str, int | None] = HERE) -> Node:
    return Node(run, measures, run if thread is None else thread, tuple(around))


def cpu_parts(*nodes: Node, **busy_s: float | None) -> dict[str, float]:
    found = Division(nodes).parts(dict.fromkeys(nodes, CPU), {each: busy_s.get(each.run) for each in nodes}, 10.0)
    return {each.run: channels["cpu"] for each, channels in found.items()}


def test_a_tracker_alone_and_trackers_around_each_other_divide_nothing() -> None:
    outer = node("outer")
    inner = node("inner", outer)
    assert Division([outer]).sharing == Division([outer, inner]).sharing == frozenset()
    assert Division([outer, inner]).siblings(inner) == ()
    assert cpu_parts(outer, inner) == {"outer": 1.0, "inner": 1.0}


def test_siblings_divide_by_the_cpu_time_of_their_threads() -> None:
    assert cpu_parts(node("a"), node("b"), a=6.0, b=2.0) == {"a": 0.75, "b": 0.25}


@pytest.mark.parametrize("a", [None, 0.05], ids=["one is not known", "all wait"])
def test_where_the_threads_tell_nothing_they_divide_equally(a: float | None) -> None:
    assert cpu_parts(node("a"), node("b"), a=a, b=0.05) == {"a": 0.5, "b": 0.5}
    assert Division([]).parts({}, {}, 0.0) == {}


def test_no_time_and_no_work_is_divided_equally() -> None:
    nodes = [node("a"), node("b")]
    found = Division(nodes).parts(dict.fromkeys(nodes, CPU), dict.fromkeys(nodes, 0.0), 0.0)
    assert [found[each]["cpu"] for each in nodes] == [0.5, 0.5]


def test_siblings_of_one_thread_divide_its_time() -> None:
    nodes = node("a", thread=1), node("b", thread=1), node("c", thread=2)
    assert cpu_parts(*nodes, a=6.0, b=6.0, c=2.0) == {"a": 0.375, "b": 0.375, "c": 0.25}


def test_gpus_and_memory_are_divided_by_time_among_those_that_measure_them() -> None:
    one, two, three = nodes = node("a"), node("b"), node("c")
    counted = {one: {"cpu", "ram", "gpu:A"}, two: {"cpu", "ram", "gpu:A", "gpu:B"}, three: {"cpu", "ram"}}
    found = Division(nodes).parts(counted, dict(zip(nodes, (8.0, 1.0, 1.0), strict=True)), 10.0)
    assert found[one] == {"cpu": 0.8, "ram": 1 / 3, "gpu:A": 0.5}
    assert found[two] == {"cpu": 0.1, "ram": 1 / 3, "gpu:A": 0.5, "gpu:B": 1.0}
    assert found[three] == {"cpu": 0.1, "ram": 1 / 3}


def test_what_is_inside_a_sibling_divides_the_part_of_that() -> None:
    a, b = node("a"), node("b")
    inner, beside = node("a1", a), node("a2", a)
    found = cpu_parts(a, b, inner, beside, a=9.0, b=1.0, a1=1.0, a2=2.0)
    assert found == pytest.approx({"a": 0.9, "b": 0.1, "a1": 0.3, "a2": 0.6})
    division = Division([a, b, inner, beside])
    assert division.siblings(a) == ("b",)
    assert division.siblings(inner) == ("a2", "b")


def test_a_device_that_only_the_inner_ones_measure_is_divided_among_these() -> None:
    a, b = node("a"), node("b")
    inner, other = node("a1", a), node("b1", b)
    nodes = (a, b, inner, other)
    counted = {a: CPU, b: CPU, inner: {"gpu:A"}, other: {"gpu:A"}}
    found = Division(nodes).parts(counted, {}, 1.0)
    assert [found[each]["gpu:A"] for each in (inner, other)] == [0.5, 0.5]


def test_once_the_one_around_has_ended_its_siblings_are_those_of_the_inner_one() -> None:
    a, b = node("a"), node("b")
    inner = node("a1", a)
    assert Division([b, inner]).siblings(inner) == ("b",)
    assert cpu_parts(b, inner) == {"b": 0.5, "a1": 0.5}


def test_trackers_of_one_run_or_of_other_processes_are_no_siblings() -> None:
    one, same = node("a"), node("a")
    assert Division([one, same]).sharing == frozenset()
    elsewhere = node("b", measures=("host", 7))
    assert Division([one, elsewhere]).sharing == frozenset()
    third = node("c")
    assert Division([one, same, third]).siblings(third) == ("a",)
    assert cpu_parts(one, same, third)["c"] == 0.5


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.0, 5.0)), min_size=1, max_size=6))
def test_at_each_level_the_parts_add_up_to_the_whole(given: list[tuple[int, float]]) -> None:
    nodes: list[Node] = []
    for number, (up, _) in enumerate(given):
        around = nodes[number - up] if 0 < up <= number else None
        nodes.append(node(str(number), *(() if around is None else (around, *around.around))))
    busy = dict(zip(nodes, (seconds for _, seconds in given), strict=True))
    found = Division(nodes).parts(dict.fromkeys(nodes, CPU), busy, 1.0)
    whole = {None: 1.0, **{each: found[each]["cpu"] for each in nodes}}
    for around, inside in itertools.groupby(
        sorted(nodes, key=lambda each: each.around[0].run if each.around else ""),
        key=lambda each: each.around[0] if each.around else None,
    ):
        assert math.fsum(found[each]["cpu"] for each in inside) == pytest.approx(whole[around])
