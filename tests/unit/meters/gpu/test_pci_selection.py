"""Which GPUs of a maker are measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from eco2ai_callbacks.errors import MeterUnavailable, SettingsError
from eco2ai_callbacks.meters.gpu.pci_selection import GpuPart, PciGpu, choose

IDS = ("4b2c1a9f8d3e6f7a", "b5c92e4d8a1f6c3b", "b5c92e4d8a1f0000")
GPUS = tuple(
    PciGpu(index, f"0000:0{index}:00.0", Path("/none"), f"GPU-{unique}", "MI210") for index, unique in enumerate(IDS)
)


def shown() -> tuple[tuple[GpuPart, ...], str]:
    return (GpuPart(GPUS[2]), GpuPart(GPUS[0])), "SOME_VISIBLE_DEVICES"


def test_auto_takes_what_the_framework_trains_on_else_what_is_visible() -> None:
    used = (GpuPart(GPUS[1]),)
    assert choose("auto", GPUS, shown, trained_on=lambda: used) == (used, "auto: framework")
    assert choose("visible", GPUS, shown, trained_on=lambda: used) == (shown()[0], "visible")
    assert choose("auto", GPUS, shown) == (shown()[0], "auto: visible")


def test_all_and_named_ones_are_whole_gpus_in_the_order_of_the_bus() -> None:
    assert choose("all", GPUS, shown)[0] == tuple(GpuPart(gpu) for gpu in GPUS)
    assert choose((1, "GPU-4b2c", 1), GPUS, shown) == ((GpuPart(GPUS[1]), GpuPart(GPUS[0])), "named")


@pytest.mark.parametrize("name", [3, -1, "GPU-b5c9", "GPU-ffff"], ids=str)
def test_a_name_that_is_none_is_refused_with_what_there_is(name: int | str) -> None:
    with pytest.raises(
        SettingsError, match=r"is no GPU of this machine; accepted are 'auto'.*0 = GPU-4b2c1a9f8d3e6f7a"
    ):
        choose((name,), GPUS, shown)


def test_beside_another_maker_s_gpus_names_may_be_theirs() -> None:
    with pytest.raises(MeterUnavailable, match="the setting gpus names none of these"):
        choose((0, "GPU-8932f937"), GPUS, shown, alone=False)
    assert choose((0, "GPU-4b2c"), GPUS, shown, alone=False) == ((GpuPart(GPUS[0]),), "named")


@pytest.mark.parametrize("setting", [(), "visible", "auto"], ids=["none", "visible", "auto"])
def test_nothing_selected_says_why(setting: str) -> None:
    with pytest.raises(MeterUnavailable, match="no GPU is selected") as caught:
        choose(setting, GPUS, lambda: ((), "SOME_VISIBLE_DEVICES"))
    assert not caught.value.wanted


def test_a_part_of_a_gpu_has_an_id_and_a_share_of_its_own() -> None:
    gpu = PciGpu(0, "0000:03:00.0", Path("/none"), "GPU-a", "MI300X", partitions=8)
    part = GpuPart(gpu, 3)
    assert (part.uuid, part.share, part.described) == ("GPU-a/3", 0.125, "partition 1/8 of device")
    whole = GpuPart(gpu)
    assert (whole.uuid, whole.share, whole.described) == ("GPU-a", 1.0, "")
