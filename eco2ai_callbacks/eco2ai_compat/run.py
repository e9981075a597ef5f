"""One run of eco2AI's tracker, with or without epochs, from its start to its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from eco2ai_callbacks.eco2ai_compat.arguments import Arguments
from eco2ai_callbacks.session.context import Platform, RunContext
from eco2ai_callbacks.tracker import Tracker
from eco2ai_callbacks.usage import Usage


class Run:
    """A run that is measured from now on.

    Args:
        arguments: The arguments of eco2AI's tracker.
        platform: The outside world.
        epoch: Number of the first epoch; ``None`` where the run has none.
    """

    def __init__(self, arguments: Arguments, platform: Platform, epoch: int | None = None) -> None:
        self.has_epochs: bool = epoch is not None
        # The number of the epoch that goes on; None where none does.
        self.epoch = epoch
        sinks = arguments.sinks(training=self.has_epochs)
        self.tracker: Tracker = Tracker(arguments.settings, platform=replace(platform, sinks=sinks))
        self.tracker.start(RunContext(quiet=arguments.ignore_warnings))

    def end_epoch(self, number: int, values: Mapping[Any, Any]) -> None:
        """Write the row of an epoch, and begin the next one.

        Args:
            number: Number of the epoch.
            values: The values to save with it.
        """
        self.tracker.mark("epoch", epoch=number, metrics={str(name): value for name, value in values.items()})
        self.epoch = number + 1

    def stop(self, kind: type[BaseException] | None = None) -> None:
        """End the run; a second call does nothing.

        Args:
            kind: The exception that ends it, where one does.
        """
        self.epoch = None
        self.tracker.__exit__(kind)

    @property
    def used(self) -> Usage:
        """What no row holds yet; after the end the usage of the whole run."""
        if not self.tracker.running:
            return self.tracker.total
        return self.tracker.read() if self.has_epochs else self.tracker.total + self.tracker.read()
