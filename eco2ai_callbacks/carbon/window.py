"""When a job of some length causes the least CO2e, by figures over time."""

from __future__ import annotations

from dataclasses import dataclass

from eco2ai_callbacks.carbon.series import Series


@dataclass(frozen=True, slots=True)
class Window:
    """A time for a job.

    Args:
        begin_s: When it begins, in Unix seconds.
        g_per_kwh: Mean intensity over it.
    """

    begin_s: float
    g_per_kwh: float


def windows(series: Series, length_s: float, from_s: float, until_s: float) -> list[Window]:
    """Return the windows among which the best and the worst are, without gaps, in order of time.

    The mean over a window changes linearly with its begin, until one of its ends meets a change of the figure: so the
    best begins or ends at one, or at an end of the time that is allowed.

    Args:
        series: The figures.
        length_s: Length of the job.
        from_s: Earliest begin.
        until_s: Latest end.

    Example:
        >>> from eco2ai_callbacks.carbon.series import Span
        >>> hours = Series([Span(0, 3600, 100.0), Span(3600, 7200, 50.0)], "hours.csv", "average")
        >>> windows(hours, 3600, 0, 7200)
        [Window(begin_s=0, g_per_kwh=100.0), Window(begin_s=3600, g_per_kwh=50.0)]
    """
    last_s = until_s - length_s
    edges = {edge for span in series.spans for edge in (span.begin_s, span.end_s)}
    begins = {from_s, last_s} | edges | {edge - length_s for edge in edges}
    found = []
    for begin_s in sorted(begin_s for begin_s in begins if from_s <= begin_s <= last_s):
        mean = series.mean(begin_s, begin_s + length_s)
        if mean.gap_s is None:
            found.append(Window(begin_s, mean.g_per_kwh))
    return found


def best(found: list[Window]) -> Window:
    """Return the window of the least intensity; of several, the first."""
    return min(found, key=lambda window: (window.g_per_kwh, window.begin_s))
