"""Which GPUs are measured: every form of ``CUDA_VISIBLE_DEVICES`` and of the setting ``gpus``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eco2ai_callbacks.errors import MeterUnavailable, SettingsError
from eco2ai_callbacks.meters.gpu.selection import Gpu, MigDevice, Part, choose, hides_all, parse_visible, visible

A100 = "NVIDIA A100-SXM4-80GB"
FOUR = tuple(
    Gpu(index, uuid, A100)
    for index, uuid in enumerate(
        (
            "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6",
            "GPU-8e8d35e3-a134-0fdd-0e01-23811fdbd293",
            "GPU-e429a63e-c61c-4795-b757-5132caeb8e70",
            "GPU-e56257c4-947f-6a5b-7ec9-0f45567ccf4e",
        )
    )
)
MIXED = (FOUR[0], Gpu(1, FOUR[1].uuid, "NVIDIA T4"), Gpu(2, FOUR[2].uuid, "NVIDIA L4"))
SLICES = (MigDevice("MIG-c7384736-a75d-5afc-978f-d2f1294409fd", 1, 0, 3), MigDevice("MIG-a28ad590", 2, 0, 4))
CUT = Gpu(0, FOUR[0].uuid, A100, 7, SLICES)
UNCUT = Gpu(1, FOUR[1].uuid, A100, 7)  # multi-instance mode without an instance


@pytest.mark.parametrize(
    ("value", "entries"),
    [
        ("0", (0,)),
        ("2,0", (2, 0)),
        (" 2 , 0 ", (2, 0)),
        ("0,1,", (0, 1)),
        ("", ()),
        ("   ", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("0,-1,1", (0,)),
        ("0,2,x,1", (0, 2)),
        ("0,,1", (0,)),
        ("one,two,3,4", ()),
        ("2,+3,-0,1", (2, 3, 0, 1)),
        ("1gpu2,2ampere", (1, 2)),
        ("0,1,0", ()),
        ("GPU-8932f937", ("GPU-8932f937",)),
        ("GPU-8932f937, GPU-e4", ("GPU-8932f937", "GPU-e4")),
        ("GPU-8932f937,2", ("GPU-8932f937",)),
        ("2,GPU-8932f937", (2,)),
        ("GPU-8932f937,GPU-8932f937", ()),
        ("MIG-c7384736,GPU-8932f937", ("MIG-c7384736",)),
        ("MIG-GPU-8932f937/1/0", ("MIG-GPU-8932f937/1/0",)),
    ],
)
def test_the_entries_before_the_first_invalid_one_are_taken(value: str, entries: tuple[int | str, ...]) -> None:
    assert parse_visible(value) == entries
    assert hides_all({"CUDA_VISIBLE_DEVICES": value}) == (entries == ())


def test_an_unset_variable_hides_nothing() -> None:
    assert not hides_all({})
    assert visible(FOUR, {}) == tuple(map(Part, FOUR))


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        ("0", [0]),
        ("3,1", [3, 1]),
        ("1,7,0", [1]),
        ("9", []),
        ("", []),
        ("-1", []),
        ("0,1,0", []),
        ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", [0]),
        ("GPU-e5,GPU-8e", [3, 1]),
        ("GPU-e", []),  # ambiguous
        ("GPU-e5,GPU-8,GPU-e4", [3]),  # ambiguous in the middle
        ("GPU-e5,GPU-123,GPU-e4", [3]),
        ("GPU-e5,GPU-e562", []),  # the same board twice
        ("gpu-8932f937", []),
        ("MIG-c7384736", []),
    ],
)
def test_whole_boards_are_found_by_number_and_by_the_beginning_of_their_uuid(value: str, numbers: list[int]) -> None:
    assert [part.gpu.index for part in visible(FOUR, {"CUDA_VISIBLE_DEVICES": value})] == numbers


@pytest.mark.parametrize(
    ("value", "uuids"),
    [
        (None, [SLICES[0].uuid]),  # a process sees one slice
        ("0", [SLICES[0].uuid]),
        (CUT.uuid, [SLICES[0].uuid]),
        (SLICES[1].uuid, [SLICES[1].uuid]),
        (f"{SLICES[1].uuid},{SLICES[0].uuid}", [SLICES[1].uuid]),
        (f"MIG-{CUT.uuid}/2/0", [SLICES[1].uuid]),
        ("MIG-GPU-8932f937/1/0", [SLICES[0].uuid]),
        (f"MIG-{CUT.uuid}/9/0", []),
        (f"MIG-{CUT.uuid}", []),
        (UNCUT.uuid, []),
        ("1", [FOUR[2].uuid]),  # a board without an instance has no number in CUDA
        ("0,1", [SLICES[0].uuid]),  # beside a slice no whole board is seen
    ],
)
def test_slices_are_seen_one_at_a_time(value: str | None, uuids: list[str]) -> None:
    environ = {} if value is None else {"CUDA_VISIBLE_DEVICES": value}
    assert [part.uuid for part in visible((CUT, UNCUT, FOUR[2]), environ)] == uuids


@pytest.mark.parametrize("order", [None, "FASTEST_FIRST", "nonsense"])
def test_numbers_of_different_models_are_not_guessed(order: str | None) -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "1"} | ({} if order is None else {"CUDA_DEVICE_ORDER": order})
    with pytest.raises(MeterUnavailable, match="different models") as refused:
        visible(MIXED, environ)
    assert refused.value.hint == "export CUDA_DEVICE_ORDER=PCI_BUS_ID"


@pytest.mark.parametrize(
    ("environ", "numbers"),
    [
        ({"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, [1]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8e"}, [1]),
        ({"CUDA_VISIBLE_DEVICES": "2,1,0"}, [2, 1, 0]),  # all of them, in whatever order
        ({"CUDA_VISIBLE_DEVICES": "5"}, []),
        ({}, [0, 1, 2]),
    ],
)
def test_different_models_are_told_apart_where_nothing_is_left_to_guess(
    environ: dict[str, str], numbers: list[int]
) -> None:
    assert [part.gpu.index for part in visible(MIXED, environ)] == numbers


def test_numbers_count_the_boards_that_this_process_may_use() -> None:
    third = FOUR[2:]  # a control group hides the first two
    assert visible(third, {"CUDA_VISIBLE_DEVICES": "0"}) == (Part(FOUR[2]),)


@given(st.text(alphabet="0123456789,-+ GPUMIG/ef", max_size=40))
def test_no_value_selects_a_board_twice(value: str) -> None:
    parts = visible(FOUR, {"CUDA_VISIBLE_DEVICES": value})
    assert len(parts) == len(set(parts))
    if hides_all({"CUDA_VISIBLE_DEVICES": value}):
        assert parts == ()


def test_auto_takes_what_the_framework_trains_on() -> None:
    def never() -> tuple[Part, ...]:
        raise AssertionError("the processes are not asked for")

    choice = choose("auto", FOUR, environ={}, framework=[FOUR[2].uuid, FOUR[1].uuid], in_use=never)
    assert (choice.parts, choice.rule) == ((Part(FOUR[1]), Part(FOUR[2])), "auto: framework")


def test_a_slice_that_the_framework_names_like_a_board_is_found() -> None:
    bare = SLICES[1].uuid.removeprefix("MIG-")
    assert choose("auto", [CUT], environ={}, framework=[f"GPU-{bare}"]).parts == (Part(CUT, SLICES[1]),)


def test_auto_falls_back_to_the_processes_and_then_to_what_is_visible() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "3"}
    used = choose("auto", FOUR, environ=environ, framework=["GPU-unknown"], in_use=lambda: [Part(FOUR[1])])
    assert (used.parts, used.rule) == ((Part(FOUR[1]),), "auto: processes")
    seen = choose("auto", FOUR, environ=environ)
    assert (seen.parts, seen.rule) == ((Part(FOUR[3]),), "auto: visible")


def test_all_takes_every_board_and_names_the_closed_ones() -> None:
    choice = choose("all", FOUR[:2], unreadable=[2, 3], environ={"CUDA_VISIBLE_DEVICES": "0"})
    assert (choice.parts, choice.rule, choice.missing) == ((Part(FOUR[0]), Part(FOUR[1])), "all", (2, 3))


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ([0, 2], [Part(FOUR[0]), Part(FOUR[2])]),
        ([2, 2], [Part(FOUR[2])]),
        (["GPU-e5", 3], [Part(FOUR[3])]),
        ([FOUR[1].uuid], [Part(FOUR[1])]),
        (FOUR[1].uuid, [Part(FOUR[1])]),
    ],
)
def test_named_boards_are_taken_once_each(setting: list[int | str], parts: list[Part]) -> None:
    choice = choose(setting, FOUR, environ={"CUDA_VISIBLE_DEVICES": "0"})
    assert (list(choice.parts), choice.rule) == (parts, "named")


def test_a_named_board_is_whole_and_holds_its_slices() -> None:
    assert choose([0], [CUT], environ={}).parts == (Part(CUT),)
    assert choose([CUT.uuid, SLICES[0].uuid], [CUT], environ={}).parts == (Part(CUT),)
    assert choose([f"MIG-{CUT.uuid}/2/0"], [CUT], environ={}).parts == (Part(CUT, SLICES[1]),)


@pytest.mark.parametrize("wrong", [4, "GPU-123", "GPU-e", "MIG-c7384736", "0"])
def test_a_board_that_is_not_there_is_named_with_what_is(wrong: int | str) -> None:
    with pytest.raises(SettingsError) as refused:
        choose([0, wrong], FOUR, environ={})
    text = str(refused.value)
    assert text.startswith(f"{wrong!r} is no GPU of this machine; accepted are 'auto'")
    assert f"0 = {FOUR[0].uuid}, 1 = {FOUR[1].uuid}" in text


def test_a_named_board_that_may_not_be_used_is_missing_and_not_wrong() -> None:
    choice = choose([2, 0], FOUR[:2], unreadable=[2], environ={})
    assert (choice.parts, choice.missing) == ((Part(FOUR[0]),), (2,))


@pytest.mark.parametrize("setting", ["auto", "visible"])
def test_nothing_selected_is_an_absence(setting: str) -> None:
    with pytest.raises(MeterUnavailable, match="no GPU is selected"):
        choose(setting, FOUR, environ={"CUDA_VISIBLE_DEVICES": "9"})


def test_the_share_of_a_slice_is_by_compute_slices() -> None:
    assert Part(CUT, SLICES[0]).share == pytest.approx(3 / 7)
    assert Part(CUT, SLICES[0]).described() == "MIG 3/7 of device"
    assert (Part(CUT).share, Part(CUT).described()) == (1.0, "")
    assert Part(CUT, MigDevice("MIG-x", 3, 0, None)).share is None
