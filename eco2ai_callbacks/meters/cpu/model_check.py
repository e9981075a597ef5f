"""What the model would have said while counters measured the same processors: evidence for its accuracy."""

from __future__ import annotations

from typing import Any

from eco2ai_callbacks.meters.meter import LoadCurve, MachineCpu

# Seconds of which a model that is linear in the load is compared at once.
_WINDOW_S = 1.0


class ModelCheck:
    """Sums of the machine's joules by its counters and by a model, over the same times.

    The model is asked for the mean load of windows, as if it were used. Where the counters are read less often, a
    window lasts from one read to the next. Times in which a counter is lost are left out.

    Args:
        model: The model.
    """

    def __init__(self, model: MachineCpu) -> None:
        self._model = model
        self._window_s = model.window_s if isinstance(model, LoadCurve) else _WINDOW_S
        self._counter_j = self._model_j = self._seconds = self._busy_s = 0.0
        self._open_j = self._open_s = self._open_busy_s = 0.0

    def add(self, counter_j: float, busy_s: float, seconds: float, *, whole: bool, lost: bool) -> None:
        """Add the time between two reads.

        Args:
            counter_j: Joules by the counters.
            busy_s: Busy core-seconds of the machine.
            seconds: Length of the time.
            whole: Whether the joules are those of this time; a counter that has not moved yet tells them later.
            lost: Whether a counter could not be read.
        """
        if lost:
            self._open_j = self._open_s = self._open_busy_s = 0.0
            return
        self._open_j += counter_j
        self._open_s += seconds
        self._open_busy_s += busy_s
        if whole and self._open_s >= self._window_s:
            self._counter_j += self._open_j
            self._model_j += sum(self._model.interval(self._open_busy_s, self._open_s))
            self._seconds += self._open_s
            self._busy_s += self._open_busy_s
            self._open_j = self._open_s = self._open_busy_s = 0.0

    @property
    def facts(self) -> dict[str, Any] | None:
        """The sums, for a record; ``None`` before the first window has ended."""
        if not self._seconds:
            return None
        return {
            "method": self._model.method.name,
            "counter_j": self._counter_j,
            "model_j": self._model_j,
            "seconds": self._seconds,
            "busy_s": self._busy_s,
        }
