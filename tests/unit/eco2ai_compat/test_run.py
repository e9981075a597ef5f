"""One run of eco2AI's tracker."""

from __future__ import annotations

import inspect

import pytest

from eco2ai_callbacks.eco2ai_compat.arguments import Arguments, checked
from eco2ai_callbacks.eco2ai_compat.run import Run
from eco2ai_callbacks.eco2ai_compat.tracker import Tracker
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.testing import Clock


@pytest.fixture
def arguments() -> Arguments:
    parameters = inspect.signature(Tracker).parameters.items()
    return checked({name: each.default for name, each in parameters if name not in ("log_file", "platform")})


def test_what_no_row_holds_yet_is_the_epoch_or_the_run(machine: Platform, clock: Clock, arguments: Arguments) -> None:
    whole, epochs = Run(arguments, machine), Run(arguments, machine, 1)
    clock.advance(1.0)
    for run in (whole, epochs):
        run.tracker.mark("stage")  # as a program does that knows the tracker inside
    clock.advance(2.0)
    assert (whole.used.total_j, epochs.used.total_j) == (3000.0, 2000.0)
    epochs.end_epoch(1, {})
    assert (epochs.epoch, epochs.used.total_j) == (2, 0.0)
    for run in (whole, epochs):
        run.stop()
        run.stop()
    assert (whole.used.total_j, epochs.used.total_j) == (3000.0, 3000.0)
    assert epochs.epoch is None
