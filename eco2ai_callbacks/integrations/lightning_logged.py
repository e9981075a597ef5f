"""What each epoch of a Lightning fit has logged, written once Lightning has computed it; computes nothing by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eco2ai_callbacks.integrations.logged import logged
from eco2ai_callbacks.tracker import Tracker


class LoggedEpochs:
    """The numbers that the epochs of one fit log, such as their losses.

    Lightning computes an epoch's figures after the last hook of its end, and counts the epoch after that.
    """

    def __init__(self) -> None:
        self._ended: int | None = None
        self._held: Mapping[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy, without Lightning's tensors."""
        return {"_ended": None, "_held": {}}

    def end(self, epoch: int) -> None:
        """Note that an epoch's end has begun.

        Args:
            epoch: Its number.
        """
        self._ended = epoch

    def write(self, tracker: Tracker | None, trainer: Any) -> None:
        """Write what the epoch that has ended has logged, once and on the first rank, where that is computed.

        Args:
            tracker: Measures the fit; ``None`` where nothing does.
            trainer: The Trainer.
        """
        epoch = self._ended
        if tracker is None or epoch is None or trainer.current_epoch <= epoch or not trainer.is_global_zero:
            return
        self._ended = None
        found = logged(tracker.guard, lambda: self._new(trainer))
        if found:
            tracker.write("metrics", found, epoch=epoch)

    def _new(self, trainer: Any) -> Mapping[str, Any]:
        """Return what was logged since the epoch before.

        Lightning keeps the values of earlier epochs, such as those of a validation in every second one: a value that
        was not logged again is the same object.
        """
        # The property `callback_metrics` would compute what another callback has just logged for the next epoch, which
        # may wait for the other ranks.
        held, self._held = self._held, dict(trainer._logger_connector._callback_metrics)
        return {name: value for name, value in self._held.items() if held.get(name) is not value}
