"""Runs as a text file with Prometheus's counters."""

from __future__ import annotations

from collections.abc import Mapping

from eco2ai_callbacks.export.counters import counters
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.sinks.prometheus_text import as_text

OPTIONS: dict[str, str] = {}


def write(runs: Runs, options: Mapping[str, str]) -> str:
    """Return the text: what each rank of each run has used, of which a sum over all counts nothing twice.

    Args:
        runs: The runs.
        options: None.
    """
    del options
    return as_text(counters(runs))
