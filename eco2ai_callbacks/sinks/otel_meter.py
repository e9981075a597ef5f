"""Send counters by OpenTelemetry's SDK; it needs the extra ``otel``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource

from eco2ai_callbacks.guard import captured
from eco2ai_callbacks.host.package import package_version
from eco2ai_callbacks.sinks.counters import FAMILIES, Family, RunCounters

_PREFIX = "eco2ai"
_METRICS_PATH = "/v1/metrics"
# The loggers of the exporter, which says each failure in several lines.
_LOGGERS = ("opentelemetry.exporter.otlp.proto.http.metric_exporter", "opentelemetry.exporter.otlp.common.http")
# Characters of a reason.
_LONGEST = 200


class NotSent(Exception):
    """Why a collector did not take the counters, in one clause."""


class OtelMeter:
    """Instruments that show runs' counters, and the exporter that sends them where OpenTelemetry's variables say.

    It has no thread, and nothing of it is global: a program's own instruments are left alone.

    Args:
        read: Returns what is sent.
        endpoint: Address of the collector; ``None`` takes ``OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`` or
            ``OTEL_EXPORTER_OTLP_ENDPOINT``.
        timeout_s: Seconds for one try with its repetitions; ``None`` takes ``OTEL_EXPORTER_OTLP_TIMEOUT``.
    """

    def __init__(
        self, read: Callable[[], Iterable[RunCounters]], endpoint: str | None = None, timeout_s: float | None = None
    ) -> None:
        self._exporter = OTLPMetricExporter(endpoint=endpoint and with_path(endpoint), timeout=timeout_s)
        self._reader = _Reader(self._exporter)
        self._provider = MeterProvider([self._reader], resource=_resource(), shutdown_on_exit=False)
        meter = self._provider.get_meter(_PREFIX, package_version())
        for family in FAMILIES:
            make = meter.create_observable_counter if family.counts else meter.create_observable_gauge
            make(f"{_PREFIX}.{family.name}", [_callback(family, read)], unit=family.symbol, description=family.meaning)

    @property
    def address(self) -> str:
        """The collector's address, without what may be secret in it."""
        parts = urlsplit(str(self._exporter._endpoint))  # the one that the variables have given
        where = f"{parts.hostname or ''}{'' if parts.port is None else f':{parts.port}'}"
        return urlunsplit((parts.scheme, where, parts.path, "", ""))

    def send(self) -> None:
        """Send the counters as they are now; it may take as long as the time-out.

        Raises:
            NotSent: The collector did not take them.
        """
        with _heard() as said:
            _, error = captured(self._reader.collect)
        if error is not None or not self._reader.taken:
            reason = str(error or next(reversed(said), "no answer")).partition("\n")[0].rstrip(".")[:_LONGEST]
            raise NotSent(f"the collector at {self.address} took no metrics: {reason}") from None

    def close(self) -> None:
        """Stop; a call of :meth:`send` that waits for its next try gives up."""
        with _heard():
            self._exporter.shutdown()


class _Reader(MetricReader):  # type: ignore[misc]
    """A reader that exports when it is asked to: the SDK's own starts a thread in each forked worker of a program."""

    def __init__(self, exporter: OTLPMetricExporter) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._exporter = exporter
        self.taken = True

    def _receive_metrics(self, metrics_data: Any, *_: Any, **__: Any) -> None:
        self.taken = self._exporter.export(metrics_data) is MetricExportResult.SUCCESS

    def shutdown(self, *_: Any, **__: Any) -> None:
        """Do nothing: the meter closes the exporter."""


def with_path(endpoint: str) -> str:
    """Return the address of a collector's metrics; that of the collector alone gets the path that OTLP has.

    Example:
        >>> with_path("http://localhost:4318")
        'http://localhost:4318/v1/metrics'
    """
    parts = urlsplit(endpoint)
    return endpoint if parts.path.strip("/") else urlunsplit(parts._replace(path=_METRICS_PATH))


def _callback(
    family: Family, read: Callable[[], Iterable[RunCounters]]
) -> Callable[[CallbackOptions], Iterator[Observation]]:
    def observe(_: CallbackOptions) -> Iterator[Observation]:
        for run in read():
            for value, more in family.values(run):
                yield Observation(value, {name: _valid(text) for name, text in {**run.labels, **more}.items()})

    return observe


def _valid(text: str) -> str:
    """Return a text that UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()


def _resource() -> Resource:
    found = Resource.create()
    if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        found = found.merge(Resource({SERVICE_NAME: _PREFIX}))
    return found


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Take what the exporter logs in this thread, so that a dead collector is said once; other threads' stays."""
    said: list[str] = []
    thread = threading.get_ident()

    def keep(record: logging.LogRecord) -> bool:
        if record.thread != thread:
            return True
        said.append(record.getMessage())
        return False

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for each in loggers:
        each.addFilter(keep)
    try:
        yield said
    finally:
        for each in loggers:
            each.removeFilter(keep)
