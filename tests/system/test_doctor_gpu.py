"""``eco2ai doctor --gpu``: each card's counter against its power, through the real binding."""

from __future__ import annotations

import os

import pytest
from nvml_stub import NvmlStub, ended

A, B = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "GPU-e429a63e-c61c-4795-b757-5132caeb8e70"
C, D = "GPU-8e8d35e3-a134-0fdd-0e01-23811fdbd293", "GPU-e56257c4-947f-6a5b-7ec9-0f45567ccf4e"
A100 = "NVIDIA A100-SXM4-80GB"


def doctor(stub: NvmlStub, *arguments: str, **environ: str) -> list[str]:
    out, err = ended(stub.start("-W", "error", "-m", "eco2ai_callbacks", "doctor", *arguments, **environ))
    assert err == ""
    return [line.strip() for line in out.splitlines()]


@pytest.mark.slow
def test_a_difference_of_15_percent_is_named_and_one_of_5_is_not(stub: NvmlStub) -> None:
    stub.gpu(A, 200.0, power_factor=1.15)
    stub.gpu(B, 200.0, power_factor=0.85)
    stub.gpu(C, 200.0, power_factor=1.05)
    stub.gpu(D, 70.0, "NVIDIA Tesla P100", counter=False)
    said = doctor(stub, "--gpu", "--seconds", "2")
    found = said[said.index("GPU counters against power, 2 s") + 1 :]
    assert len(found) == 4
    for line, board, sign in zip(found, (f"0: {A100} ({A})", f"1: {A100} ({B})"), ("more", "less"), strict=False):
        assert line.startswith(f"{board}: sampled power gives 1")
        assert line.endswith(f"% {sign} than the energy counter")
    assert found[2] == f"2: {A100} ({C}): the energy counter and sampled power agree within 10%"
    assert found[3] == f"3: NVIDIA Tesla P100 ({D}): no energy counter: power is sampled, ±15 %"
    # Once to see the sources, once to compare.
    assert stub.calls()["nvmlInitWithFlags"] == stub.calls()["nvmlShutdown"] == 2


def test_the_sources_say_how_each_card_is_known(stub: NvmlStub) -> None:
    stub.gpu(A, 200.0)
    stub.gpu(B, 70.0, "NVIDIA Tesla P100", counter=False)
    (line,) = [line for line in doctor(stub) if "NVML" in line]
    assert line == (
        "used  NVML (gpu) -> nvml-energy, nvml-power: "
        f"0: {A100} (energy counter, whole device), 1: NVIDIA Tesla P100 (power every 0.5 s, whole device); "
        "chosen by auto: visible"
    )


@pytest.mark.parametrize(
    ("code", "said", "hint"),
    [
        (9, "no NVIDIA driver", None),
        (18, "driver and library versions differ", "reboot after a driver update"),
        (4, "insufficient permissions", "add this user to the group of /dev/nvidia*"),
    ],
)
def test_a_driver_that_cannot_be_used_says_why(stub: NvmlStub, code: int, said: str, hint: str | None) -> None:
    stub.gpu(A, 200.0)
    stub.init(code)
    lines = doctor(stub, "--gpu")
    number = lines.index(f"-   NVML: {said}")
    if hint:
        assert lines[number + 1].startswith(hint)
    assert lines[-2:] == ["GPU counters against power, 30 s", said]


# A binding as older packages install it: texts are bytes, ids are taken as bytes, and functions are missing.
OLD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("real_binding", {path!r})
real = importlib.util.module_from_spec(spec)
sys.modules["real_binding"] = real
spec.loader.exec_module(real)
globals().update({{name: value for name, value in vars(real).items() if not name.startswith("__")}})
def nvmlDeviceGetName(handle):
    return real.nvmlDeviceGetName(handle).encode()
def nvmlDeviceGetUUID(handle):
    return real.nvmlDeviceGetUUID(handle).encode()
def nvmlDeviceGetHandleByUUID(uuid):
    if not isinstance(uuid, bytes):
        raise TypeError("bytes or integer address expected instead of str instance")
    return real.nvmlDeviceGetHandleByUUID(uuid)
for name in {missing!r}:
    del globals()[name]
"""
MIG = ["nvmlDeviceGetMigMode", "nvmlDeviceGetMaxMigDeviceCount", "nvmlDeviceGetMigDeviceHandleByIndex"]


@pytest.mark.parametrize(
    ("package", "file", "missing", "how"),
    [
        ("pynvml", "pynvml/__init__.py", [], "energy counter"),
        ("nvidia-ml-py3", "pynvml.py", [*MIG, "nvmlDeviceGetTotalEnergyConsumption"], "power every 0.5 s"),
    ],
)
def test_the_sources_name_the_package_of_another_binding_and_what_mends_it(
    stub: NvmlStub, package: str, file: str, missing: list[str], how: str
) -> None:
    import pynvml

    site = stub.folder / "site"
    module = site / file
    module.parent.mkdir(parents=True)
    module.write_text(OLD.format(path=pynvml.__file__, missing=missing))
    info = site / f"{package.replace('-', '_')}-7.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 7.0\n")
    (info / "top_level.txt").write_text("pynvml\n")
    (info / "RECORD").write_text(f"{file},,\n")
    stub.gpu(A, 200.0)
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    out, _ = ended(stub.start("-W", "error", "-m", "eco2ai_callbacks", "doctor", PYTHONPATH=path))
    said = [line.strip() for line in out.splitlines()]
    assert [line for line in said if f"0: {A100} ({how}, whole device)" in line], out
    number = said.index(
        f"the module pynvml is not that of nvidia-ml-py: it comes from the package {package} 7.0; to have NVIDIA's own:"
    )
    assert said[number + 1] == f"pip uninstall -y {package} && pip install --force-reinstall --no-deps nvidia-ml-py"


def test_of_nvidia_s_own_binding_nothing_is_said(stub: NvmlStub) -> None:
    stub.gpu(A, 200.0)
    assert not any("pynvml" in line for line in doctor(stub))


def test_without_a_driver_there_is_no_nvidia_driver(stub: NvmlStub) -> None:
    lines = doctor(stub, "--gpu", **stub.without_driver())
    assert "-   NVML: no NVIDIA driver" in lines
    assert lines[-1] == "no NVIDIA driver"
