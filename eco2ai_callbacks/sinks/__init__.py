"""Write records somewhere beside the run log: the protocol of a sink, and the sinks that settings ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.host.machine import Host
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.settings import Settings


class Sink(Protocol):
    """A destination of records. Its methods may raise, for the caller contains it."""

    @property
    def name(self) -> str:
        """The name that its failures begin with."""

    def write(self, record: Record) -> None:
        """Take a record."""

    def close(self) -> None:
        """Write what is left and release what is held; called once, after the last record."""


def open_csv(settings: Settings, host: Host) -> Sink | None:
    """Return the CSV file that the settings name; loaded only where they name one."""
    if settings.csv_file is None:
        return None
    from eco2ai_callbacks.sinks import csv

    return csv.open_csv(settings, host)


def open_prometheus(settings: Settings, host: Host) -> Sink | None:
    """Return the Prometheus file that the settings name; loaded only where they name one."""
    if settings.prometheus_file is None:
        return None
    from eco2ai_callbacks.sinks import prometheus

    return prometheus.open_prometheus(settings, host)


def open_otel(settings: Settings, host: Host) -> Sink | None:
    """Return the exporter to a collector of OpenTelemetry; loaded only where the settings ask for it."""
    if not settings.otel:
        return None
    from eco2ai_callbacks.sinks import otel

    return otel.open_otel(settings, host)


OpenSink = Callable[[Settings, Host], Sink | None]

# Each opens its sink, or returns None where the settings ask for none. A new sink is one more line.
SINKS: tuple[OpenSink, ...] = (open_csv, open_prometheus, open_otel)


def open_sinks(
    settings: Settings, host: Host, sinks: Iterable[OpenSink] = SINKS, guard: Guard | None = None
) -> list[Sink]:
    """Open the sinks that the settings ask for; one that fails is recorded, and the others are opened.

    Args:
        settings: The settings in force.
        host: The machine.
        sinks: What opens each sink.
        guard: Records failures.
    """
    guard = guard or Guard()
    nothing: Sink | None = None
    opened = [guard.call("sink", partial(open_sink, settings, host), nothing) for open_sink in sinks]
    return [sink for sink in opened if sink is not None]
