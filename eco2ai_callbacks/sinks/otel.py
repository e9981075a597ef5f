"""Send the run's counters to an OpenTelemetry collector, by a thread that keeps no training waiting."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.guard import captured
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.sinks.counters import RunCounters, counters_of

EXTRA = 'pip install "eco2ai_callbacks[otel]"'
# OpenTelemetry's own variable and default, in milliseconds (specification, SDK environment variables).
INTERVAL, _INTERVAL_MS = "OTEL_METRIC_EXPORT_INTERVAL", 60_000.0
# Seconds that the end of a run waits for the last figures to be sent.
PATIENCE_S = 2.0


class Sender(Protocol):
    """What sends counters."""

    def send(self) -> None:
        """Send them; raises where they were not taken."""

    def close(self) -> None:
        """Stop; a call of :meth:`send` gives up."""


OpenSender = Callable[[Callable[[], Iterable[RunCounters]]], Sender]


def open_otel(settings: Settings, host: Host) -> OtelSink | None:
    """Return the sink that the setting ``otel`` asks for; ``None`` where it asks for none.

    Raises:
        SettingsError: The extra is not installed.
    """
    del host
    if not settings.otel:
        return None
    try:
        from eco2ai_callbacks.sinks.otel_meter import OtelMeter
    except ImportError as error:
        raise SettingsError(f"otel=True needs the package {error.name}: {EXTRA}.") from None
    return OtelSink(OtelMeter, interval_s(os.environ))


def interval_s(environ: Mapping[str, str]) -> float:
    """Return the seconds between two exports, by OpenTelemetry's variable for it."""
    try:
        found = float(environ.get(INTERVAL) or _INTERVAL_MS)
    except ValueError:
        found = _INTERVAL_MS
    return (found if math.isfinite(found) and found > 0 else _INTERVAL_MS) / 1000


class OtelSink:
    """A thread that sends what the run has used so far, each minute and at the end.

    To take a record only keeps its figures. A collector that does not answer is named once.

    Args:
        open_sender: Opens what sends.
        interval_s: Seconds between two exports.
        patience_s: Seconds that the end waits.
    """

    name = "OpenTelemetry"

    def __init__(self, open_sender: OpenSender, interval_s: float, patience_s: float = PATIENCE_S) -> None:
        self._latest: RunCounters | None = None
        self._sender = open_sender(self._read)
        self._interval_s = interval_s
        self._patience_s = patience_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._failure: BaseException | None = None
        self._named = False

    def write(self, record: Record) -> None:
        """Keep the figures of a record for the next export.

        Raises:
            ConnectionError: An export has failed, once.
        """
        counters = counters_of(record)
        if counters is not None:
            self._latest = counters
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="eco2ai-otel", daemon=True)
            self._thread.start()
        self._name_failure()

    def close(self) -> None:
        """Send the last figures, and stop.

        Raises:
            ConnectionError: They were not sent.
        """
        self._stop.set()
        # A forked child has no such thread, and its parent's figures are not its own.
        if self._thread is not None and os.getpid() == self._pid:
            self._thread.join(self._patience_s)
            is_late = self._thread.is_alive()
            captured(self._sender.close)
            if is_late and not self._named:
                self._named = True
                raise ConnectionError(f"no answer within {self._patience_s:g} s, so the last figures were not sent")
        self._name_failure()

    def _read(self) -> Iterable[RunCounters]:
        return () if self._latest is None else (self._latest,)

    def _run(self) -> None:
        stopped = False
        while not stopped:
            stopped = self._stop.wait(self._interval_s)
            _, error = captured(self._sender.send)
            self._failure = self._failure or error

    def _name_failure(self) -> None:
        if self._failure is not None and not self._named:
            self._named = True
            raise ConnectionError(str(self._failure))
