from __future__ import annotations

import os
from pathlib import Path

import pytest
from proc_tree import FORBIDDEN, ProcTree

from eco2ai_callbacks.host.namespace import PidNamespace


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    return ProcTree(tmp_path)


def test_in_one_namespace_ids_are_what_they_are(tree: ProcTree) -> None:
    own = os.getpid()
    tree.put(own, 1)
    tree.ids(own)
    (tree.root / "self").symlink_to(str(own))
    namespace = PidNamespace(tree.root)
    assert (namespace.own, namespace.depth) == (own, 0)
    assert (namespace.shown(55), namespace.local(55)) == (55, 55)


def test_a_procfs_without_the_link_is_taken_as_it_is(tree: ProcTree) -> None:
    namespace = PidNamespace(tree.root)
    assert (namespace.own, namespace.depth, namespace.shown(55)) == (os.getpid(), 0, 55)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_the_real_procfs_shows_this_process() -> None:
    namespace = PidNamespace(Path("/proc"))
    assert namespace.own is not None
    assert namespace.shown(os.getpid()) == namespace.own
    assert namespace.local(namespace.own) == os.getpid()


def test_the_host_s_procfs_shows_the_container_s_processes_by_other_ids(tree: ProcTree) -> None:
    tree.put(4711, 1)
    tree.ids(4711, os.getpid())
    tree.put(4712, 4711)
    tree.ids(4712, 2)
    tree.put(4713, 4712)
    tree.ids(4713, 3, 1)  # in a namespace of its own below
    tree.put(5000, 1)
    tree.ids(5000, 2)  # of another container
    tree.put(1, 0)
    tree.ids(1)
    (tree.root / "self").symlink_to("4711")
    namespace = PidNamespace(tree.root)
    assert (namespace.own, namespace.depth) == (4711, 1)
    assert [namespace.shown(pid) for pid in (os.getpid(), 2, 3)] == [4711, 4712, 4713]
    assert namespace.shown(99) is None
    assert [namespace.local(pid) for pid in (4711, 4712, 4713, 1, 8888)] == [os.getpid(), 2, 3, None, None]


def test_a_process_that_is_no_descendant_is_known_by_its_namespace(tree: ProcTree) -> None:
    """As the other ranks of a launch are."""
    for shown, inner, namespace in ((4711, os.getpid(), "pid:[2]"), (4700, 5, "pid:[2]"), (4600, 5, "pid:[3]")):
        tree.put(shown, 1)
        tree.ids(shown, inner)
        (tree.root / f"{shown}/ns").mkdir()
        (tree.root / f"{shown}/ns/pid").symlink_to(namespace)
    (tree.root / "self").symlink_to("4711")
    namespaces = PidNamespace(tree.root)
    assert namespaces.shown(5) == 4700
    tree.remove(4700)
    assert namespaces.shown(5) is None
    tree.put(4800, 1)
    tree.ids(4800, 5)
    (tree.root / "4800/ns").mkdir()
    (tree.root / "4800/ns/pid").symlink_to("pid:[2]")
    assert namespaces.shown(5) == 4800  # a later process with the same id


def test_an_old_kernel_tells_this_process_alone(tree: ProcTree) -> None:
    tree.put(4711, 1)
    (tree.root / "4711/status").write_text("Name:\tpython\n")
    (tree.root / "self").symlink_to("4711")
    namespace = PidNamespace(tree.root)
    assert (namespace.own, namespace.depth) == (4711, 1)
    assert (namespace.shown(os.getpid()), namespace.local(4711)) == (4711, os.getpid())
    assert (namespace.shown(2), namespace.local(2)) == (None, None)


def test_processes_that_may_not_be_looked_at_are_none_of_ours(tree: ProcTree) -> None:
    tree.put(4711, 1)
    tree.ids(4711, os.getpid())
    (tree.root / "self").symlink_to("4711")
    tree.put(4712, 4711)
    tree.break_("4712/status", FORBIDDEN)
    tree.put(4713, 4711)
    tree.ids(4713, 3)
    tree.break_("4713/stat", FORBIDDEN)
    namespace = PidNamespace(tree.root)
    assert (namespace.shown(2), namespace.shown(3)) == (None, None)


def test_a_procfs_of_another_namespace_does_not_show_this_process(tree: ProcTree) -> None:
    tree.put(os.getpid(), 1)  # somebody else
    (tree.root / "self").symlink_to("gone")
    namespace = PidNamespace(tree.root)
    assert namespace.own is None
    assert namespace.shown(os.getpid()) is None
