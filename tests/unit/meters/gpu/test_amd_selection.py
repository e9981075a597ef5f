"""Which AMD GPUs ROCm shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from eco2ai_callbacks.meters.gpu.amd_selection import trained_on, unique_id, visible
from eco2ai_callbacks.meters.gpu.pci_selection import GpuPart, PciGpu

IDS = ("4b2c1a9f8d3e6f7a", "b5c92e4d8a1f6c3b", "b5c92e4d8a1f0000")
GPUS = tuple(
    PciGpu(index, f"0000:0{index}:00.0", Path("/none"), f"GPU-{unique}", "MI210") for index, unique in enumerate(IDS)
)
# The runtime's order is not the bus's.
DEVICES = tuple(GpuPart(GPUS[index]) for index in (2, 0, 1))


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
    parts, variables = visible(DEVICES, environ)
    assert [part.gpu.index for part in parts] == shown
    assert variables == " and ".join(environ)


def test_hip_s_uuid_is_the_unique_id_in_characters() -> None:
    printed = "62356339-3265-3464-3861-316636633362"
    assert unique_id(printed) == IDS[1]
    assert unique_id("GPU-4b2c1a9f8d3e6f7a") == IDS[0]
    assert [part.gpu.index for part in trained_on(DEVICES, [printed])] == [1]
    assert trained_on(DEVICES, ["8932f937-d72c-4106-c12f-20bd9faed9f6"]) == ()
    assert trained_on(DEVICES, None) == ()
