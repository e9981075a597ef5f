"""The cells of eco2AI's CSV."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from eco2ai_callbacks.sinks.csv_cells import cpu_cell, epoch_cell, gpu_cell, os_cell, place_cell
from eco2ai_callbacks.testing import CLOUD_VM


def source(*devices: tuple[int, str], used: bool = True) -> dict[str, Any]:
    return {"used": used, "devices": [{"index": index, "name": name} for index, name in devices]}


@pytest.mark.parametrize(
    ("sources", "cell"),
    [
        ([], " 0 device(s)"),
        ([source((0, "L4"), used=False)], " 0 device(s)"),
        ([{"used": True}], " 0 device(s)"),  # RAPL
        ([source((0, "A100"), (0, "A100"), (1, "A100"))], "A100 2 device(s)"),  # two slices of one board
        ([source((0, "A100")), source((0, "MI300X"))], "A100 1 device(s), MI300X 1 device(s)"),
    ],
    ids=["none", "not used", "no devices", "slices", "two makers"],
)
def test_gpus_are_counted_by_model(sources: list[dict[str, Any]], cell: str) -> None:
    assert gpu_cell(sources) == cell


@pytest.mark.parametrize(
    ("name", "sockets", "setting", "cell"),
    [
        ("AMD EPYC 7763 64-Core Processor", 2, None, "AMD EPYC 7763 64-Core Processor/2 device(s), TDP:280.0"),
        ("AMD EPYC", 1, None, "AMD EPYC/1 device(s), TDP:N/A"),
        ("AMD EPYC", 1, 95.0, "AMD EPYC/1 device(s), TDP:95.0"),
        ("", 1, None, "N/A/1 device(s), TDP:N/A"),
    ],
    ids=["in the table", "no model", "by the setting", "no name"],
)
def test_a_processor_has_its_packages_and_its_power(name: str, sockets: int, setting: float | None, cell: str) -> None:
    assert cpu_cell(dataclasses.replace(CLOUD_VM, cpu_name=name, sockets=sockets), setting) == cell


@pytest.mark.parametrize(
    ("metrics", "cell"),
    [(None, "epoch: 7"), ({}, "epoch: 7, "), ({"loss": 0.5, "acc": "1%"}, "epoch: 7, loss: 0.5, acc: 1%, ")],
    ids=["none", "empty", "two"],
)
def test_an_epoch_has_its_values(metrics: dict[str, Any] | None, cell: str) -> None:
    assert epoch_cell(7, metrics) == cell


@pytest.mark.parametrize(
    ("intensity", "cell"),
    [
        ({"region": "FR", "name": "France"}, "FR"),
        ({"region": "US-CA", "name": "California"}, "US/California"),
        ({"region": "aws:eu-west-3", "name": "Paris"}, "Paris"),
        ({"region": "aws:eu-west-3", "name": ""}, "aws:eu-west-3"),
        ({"region": "WORLD", "name": "World"}, "World"),
        ({}, "N/A"),
    ],
    ids=["country", "part", "cloud", "cloud without a name", "unknown", "none"],
)
def test_a_place_is_spelled_as_eco2ai_spells_it(intensity: dict[str, Any], cell: str) -> None:
    assert place_cell(intensity) == cell


def test_eco2ai_has_a_name_of_its_own_for_one_system() -> None:
    assert [os_cell(system) for system in ("Darwin", "Linux")] == ["MacOS", "Linux"]
