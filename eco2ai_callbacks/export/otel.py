"""Runs as OpenTelemetry metrics, which are sent to a collector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice

from eco2ai_callbacks.errors import refusal
from eco2ai_callbacks.export.counters import counters
from eco2ai_callbacks.export.forms import NotExported
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.sinks.counters import RunCounters
from eco2ai_callbacks.sinks.otel_meter import NotSent, OtelMeter

OPTIONS = {
    "endpoint": "address of the collector, such as http://localhost:4318; else OTEL_EXPORTER_OTLP_ENDPOINT says where.",
    "timeout_s": "seconds for one request with its repetitions; else OTEL_EXPORTER_OTLP_TIMEOUT, 10 by default.",
}
# Values that the SDK keeps of one instrument; it puts all further ones together (specification, cardinality limits).
_LIMIT = 1500


def write(runs: Runs, options: Mapping[str, str]) -> str:
    """Send what each rank of each run has used, and return how much that was.

    Args:
        runs: The runs.
        options: Values of :data:`OPTIONS`.

    Raises:
        NotExported: A value is not accepted, or the collector did not take the metrics.
    """
    endpoint, timeout_s = _endpoint(options), _timeout(options)
    pending, sent, address = list(counters(runs)), 0, ""
    try:
        while pending:
            part = _next(pending)
            meter = OtelMeter(lambda part=part: part, endpoint, timeout_s)  # type: ignore[misc]
            address = meter.address
            try:
                meter.send()
            finally:
                meter.close()
            sent += len(part)
            pending = pending[len(part) :]
    except NotSent as error:
        done = f"; {sent} of {sent + len(pending)} were taken before" if sent else ""
        raise NotExported(f"--format otel: {error}{done}.") from None
    return f"{len(runs)} runs sent to {address}\n"


def _next(pending: Sequence[RunCounters]) -> Sequence[RunCounters]:
    """Return as many as one instrument keeps apart; one at least."""
    total = 0
    for place, each in enumerate(pending):
        total += max(1, len(each.joules))
        if total > _LIMIT and place:
            return list(islice(pending, place))
    return pending


def _endpoint(options: Mapping[str, str]) -> str | None:
    found = options.get("endpoint")
    if found is not None and not found.startswith(("http://", "https://")):
        raise NotExported(refusal(f"--set endpoint={found!r}", "an address such as http://localhost:4318"))
    return found


def _timeout(options: Mapping[str, str]) -> float | None:
    given = options.get("timeout_s")
    if given is None:
        return None
    try:
        found = float(given)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise NotExported(refusal(f"--set timeout_s={given!r}", "a number above 0, in seconds"))
    return found
