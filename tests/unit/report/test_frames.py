"""Epochs as a data frame."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from sessions import Written

import eco2ai_callbacks
from eco2ai_callbacks.report.frames import frame


def log() -> Path:
    written = Written(Path("eco2ai.jsonl"))
    written.mark("stage", 0, "validate")
    written.mark(epoch=0, metrics={"loss": 0.5})
    written.mark(epoch=1, samples=7)
    written.stop()
    return written.path


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_an_epoch_is_a_row(kind: str) -> None:
    pytest.importorskip(kind)
    found = eco2ai_callbacks.load(log()).to_frame(kind)
    assert found.shape[0] == 2
    assert list(found["epoch"]) == [0, 1]
    assert list(found["seconds"]) == [4.0, 2.0]
    assert list(found["energy_kwh"]) == pytest.approx([72 / 3.6e6, 36 / 3.6e6])
    assert list(found["cpu_kwh"]) == list(found["energy_kwh"])
    assert found["metrics/loss"][0] == 0.5
    assert list(found.columns)[-1] == "metrics/loss"
    assert set(found["run"]) == {"run"}


def test_without_a_package_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'pip install "eco2ai_callbacks\[frames\]"'):
        frame([{"a": 1}])
    with pytest.raises(ImportError, match="needs polars"):
        frame([], "polars")


def test_a_kind_that_is_none_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="kind='arrow' is no kind of data frame; accepted are 'pandas' and 'polars'"):
        frame([], "arrow")
