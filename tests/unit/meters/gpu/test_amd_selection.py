"""Which AMD GPUs are measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from eco2ai_callbacks.errors import MeterUnavailable, SettingsError
from eco2ai_callbacks.meters.gpu.amd_devices import AmdGpu, AmdPart
from eco2ai_callbacks.meters.gpu.amd_selection import choose, unique_id, visible

IDS = ("4b2c1a9f8d3e6f7a", "b5c92e4d8a1f6c3b", "b5c92e4d8a1f0000")
GPUS = tuple(
    AmdGpu(index, f"0000:0{index}:00.0", Path("/none"), f"GPU-{unique}", "MI210") for index, unique in enumerate(IDS)
)
# The runtime's order is not the bus's.
DEVICES = tuple(AmdPart(GPUS[index]) for index in (2, 0, 1))


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        ({}, [2, 0, 1]),
        ({"ROCR_VISIBLE_DEVICES": "1,0"}, [0, 2]),
        ({"ROCR_VISIBLE_DEVICES": "GPU-4b2c1a9f8d3e6f7a, 2"}, [0, 1]),
        ({"ROCR_VISIBLE_DEVICES": "GPU-4B2C"}, [0]),
        ({"ROCR_VISIBLE_DEVICES": "GPU-b5c9,0"}, []),
        ({"ROCR_VISIBLE_DEVICES": "GPU-"}, []),
        ({"ROCR_VISIBLE_DEVICES": "0,7,1"}, [2]),
        ({"ROCR_VISIBLE_DEVICES": "0,0,1"}, [2]),
        ({"ROCR_VISIBLE_DEVICES": "-1"}, []),
        ({"ROCR_VISIBLE_DEVICES": ""}, []),
        ({"HIP_VISIBLE_DEVICES": "1"}, [0]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, [0]),
        ({"HIP_VISIBLE_DEVICES": "0", "CUDA_VISIBLE_DEVICES": "1"}, [2]),
        ({"HIP_VISIBLE_DEVICES": "", "CUDA_VISIBLE_DEVICES": "1"}, [0]),
        ({"HIP_VISIBLE_DEVICES": "-1"}, []),
        ({"HIP_VISIBLE_DEVICES": "GPU-4b2c"}, []),
        ({"ROCR_VISIBLE_DEVICES": "2,1", "HIP_VISIBLE_DEVICES": "1"}, [0]),
        ({"ROCR_VISIBLE_DEVICES": "2", "HIP_VISIBLE_DEVICES": "1"}, []),
    ],
    ids=lambda value: ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_what_rocm_shows(environ: dict[str, str], shown: list[int]) -> None:
    assert [part.gpu.index for part in visible(DEVICES, environ)] == shown


def test_auto_takes_what_the_framework_trains_on_else_what_is_visible() -> None:
    printed = "62356339-3265-3464-3861-316636633362"  # b5c92e4d8a1f6c3b
    assert unique_id(printed) == IDS[1]
    environ = {"HIP_VISIBLE_DEVICES": "0"}
    parts, rule = choose("auto", GPUS, DEVICES, environ=environ, framework=[printed])
    assert ([part.gpu.index for part in parts], rule) == ([1], "auto: framework")
    parts, rule = choose("auto", GPUS, DEVICES, environ=environ, framework=["8932f937-d72c-4106-c12f-20bd9faed9f6"])
    assert ([part.gpu.index for part in parts], rule) == ([2], "auto: visible")


def test_all_and_named_ones_are_whole_gpus_in_the_order_of_the_bus() -> None:
    parts = tuple(AmdPart(GPUS[0], number) for number in range(8))
    assert choose("all", GPUS, parts, environ={})[0] == tuple(AmdPart(gpu) for gpu in GPUS)
    assert choose((1, "GPU-4b2c", 1), GPUS, parts, environ={}) == ((AmdPart(GPUS[1]), AmdPart(GPUS[0])), "named")


@pytest.mark.parametrize("name", [3, -1, "GPU-b5c9", "GPU-ffff"], ids=str)
def test_a_name_that_is_none_is_refused_with_what_there_is(name: int | str) -> None:
    with pytest.raises(SettingsError, match="is no GPU of this machine; accepted are 'auto'.*0 = GPU-4b2c1a9f8d3e6f7a"):
        choose((name,), GPUS, DEVICES, environ={})


def test_beside_another_maker_s_gpus_names_may_be_theirs() -> None:
    with pytest.raises(MeterUnavailable, match="the setting gpus names none of these"):
        choose((0, "GPU-8932f937"), GPUS, DEVICES, environ={}, alone=False)
    parts, _ = choose((0, "GPU-4b2c"), GPUS, DEVICES, environ={}, alone=False)
    assert parts == (AmdPart(GPUS[0]),)


@pytest.mark.parametrize("setting", [(), "visible", "auto"], ids=["none", "visible", "auto"])
def test_nothing_selected_says_why(setting: str) -> None:
    with pytest.raises(MeterUnavailable, match="no GPU is selected") as caught:
        choose(setting, GPUS, DEVICES, environ={"ROCR_VISIBLE_DEVICES": "-1"})
    assert not caught.value.wanted
