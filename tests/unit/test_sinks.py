from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.sinks import SINKS, open_sinks
from eco2ai_callbacks.testing import CLOUD_VM


class Taking:
    name = "taking"

    def write(self, record: Record) -> None:
        pass

    def close(self) -> None:
        pass


def test_those_are_opened_that_the_settings_ask_for():
    assert open_sinks(Settings(), CLOUD_VM) == []
    (csv,) = open_sinks(Settings(csv_file=Path("emission.csv")), CLOUD_VM)
    assert csv.name == "CSV file"


def test_one_that_cannot_be_opened_is_named_and_the_others_are_opened(caplog: pytest.LogCaptureFixture):
    def broken(*_: Any) -> Any:
        raise ConnectionError("no server")

    sink, guard = Taking(), Guard()
    assert open_sinks(Settings(), CLOUD_VM, (broken, *SINKS, lambda *_: sink), guard) == [sink]
    assert guard.failures == ("sink: no server (ConnectionError)",)
