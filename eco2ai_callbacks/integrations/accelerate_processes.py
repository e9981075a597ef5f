"""The calls of an Accelerator, passed on to our tracker in the processes in which Accelerate calls no tracker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class ToldTracker(Protocol):
    """A tracker as each process calls it."""

    name: str

    @property
    def tracker(self) -> Any:
        """The underlying tracker."""

    def begin(self, accelerator: Any) -> None:
        """Start to measure."""

    def log(self, values: Any, step: int | None = None, **kwargs: Any) -> None:
        """Receive a row."""

    def finish(self) -> None:
        """End the run."""


def pass_on(accelerator: Any, tracker: ToldTracker) -> None:
    """Call a tracker of ours in each process of the job, where Accelerate calls trackers in its main process alone.

    Only this Accelerator is changed, and only in a process that is not the main one. All other trackers, and all in the
    main process, are called as before.

    Args:
        accelerator: The Accelerator.
        tracker: The tracker of this process.
    """
    if accelerator.is_main_process or "log" in vars(accelerator):
        return
    init_trackers, log = accelerator.init_trackers, accelerator.log
    end_training, get_tracker = accelerator.end_training, accelerator.get_tracker

    def init_ours(*args: Any, **kwargs: Any) -> Any:
        tracker.begin(accelerator)
        return init_trackers(*args, **kwargs)

    def log_ours(values: Any, step: int | None = None, log_kwargs: Mapping[str, Any] | None = None) -> Any:
        tracker.log(values, step=step, **(log_kwargs or {}).get(tracker.name, {}))
        return log(values, step, log_kwargs)

    def end_ours(*args: Any, **kwargs: Any) -> Any:
        # Before Accelerate destroys the process group, over which the ranks exchange their totals.
        tracker.finish()
        return end_training(*args, **kwargs)

    def get_ours(name: str, unwrap: bool = False) -> Any:
        if name == tracker.name:
            return tracker.tracker if unwrap else tracker
        return get_tracker(name, unwrap)

    accelerator.init_trackers, accelerator.log = init_ours, log_ours
    accelerator.end_training, accelerator.get_tracker = end_ours, get_ours
