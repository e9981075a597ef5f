from __future__ import annotations

from eco2ai_callbacks.host.memory import PAGE, kin_of, mapped_bytes, private_bytes, pss_bytes, uss_bytes


def test_private_memory_is_resident_minus_shared() -> None:
    assert private_bytes("9000 500 120 1 0 800 0\n") == 380 * PAGE
    assert private_bytes("9000 100 120 1 0 800 0\n") == 0
    assert private_bytes("") is None


def test_the_proportional_share_is_the_line_of_that_name() -> None:
    assert (
        pss_bytes("00-7f [rollup]\nRss:  9 kB\nPss:        293 kB\nPss_Dirty:  112 kB\nSwapPss: 7 kB\n") == 293 * 1024
    )
    assert pss_bytes("Rss: 9 kB\nSwapPss: 7 kB\n") is None
    assert pss_bytes("") is None


def test_what_nobody_else_maps_is_the_sum_of_the_private_lines() -> None:
    assert uss_bytes("Private_Clean:  3 kB\nPrivate_Dirty:  40 kB\nPrivate_Hugetlb:  7 kB\n") == 43 * 1024
    assert uss_bytes("") == 0


def test_a_fork_is_known_by_where_its_code_and_stack_begin() -> None:
    stat = "7 (a) b) S 5 7 7 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 {started} 9 9 9 {code} 99 {stack} 0 0\n"
    assert kin_of(stat.format(started=700, code=11, stack=22)) == (700, (11, 22), 5)
    assert kin_of(stat.format(started=700, code=1, stack=0)) == (700, (), 5)  # not told
    assert kin_of("") == (0, (), 0)


def test_what_all_processes_hold_is_anonymous_and_mapped_memory() -> None:
    assert mapped_bytes("AnonPages:   100 kB\nMapped:  20 kB\nShmem: 5 kB\n") == [120 * 1024]
    assert mapped_bytes("MemTotal: 100 kB\nMapped:  20 kB\n") == []
    assert mapped_bytes("") == []
