"""The thread that sends counters to a collector; what sends is a fake here."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable

import pytest

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.settings import Settings
from eco2ai_callbacks.sinks.counters import RunCounters
from eco2ai_callbacks.sinks.otel import OtelSink, interval_s, open_otel
from eco2ai_callbacks.testing import CLOUD_VM

HOUR = 3600.0


def record(joules: float = 7.2, event: str = "stage") -> Record:
    return Record(run="a", writer="w", event=event, total={"joules": {"cpu": joules}, "seconds": 2.0})


class Sender:
    """Keeps what it is asked to send."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sent: list[float] = []
        self.once, self.twice = threading.Event(), threading.Event()
        self.is_closed = False

    def open(self, read: Callable[[], Iterable[RunCounters]]) -> Sender:
        self.read = read
        return self

    def send(self) -> None:
        self.sent += [run.joules["cpu"] for run in self.read()]
        # Before the second time, the first one's failure is kept.
        (self.twice if self.once.is_set() else self.once).set()
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.is_closed = True


def test_to_take_a_record_sends_nothing_and_the_end_sends_the_last_figures() -> None:
    sender = Sender()
    sink = OtelSink(sender.open, HOUR)
    for joules in (1.0, 2.0, 3.0):
        sink.write(record(joules))
    assert sender.sent == []
    sink.close()
    assert sender.sent == [3.0]
    assert sender.is_closed


def test_it_is_sent_as_often_as_the_interval_says() -> None:
    sender = Sender()
    sink = OtelSink(sender.open, 0.001)
    sink.write(record(1.0))
    assert sender.once.wait(10.0)
    sink.close()
    assert sender.sent[0] == 1.0


def test_a_collector_that_takes_nothing_is_named_once() -> None:
    sender = Sender(RuntimeError("no collector"))
    sink = OtelSink(sender.open, 0.001)
    sink.write(record())
    assert sender.twice.wait(10.0)
    with pytest.raises(ConnectionError, match=r"^no collector$"):
        sink.write(record())
    for _ in range(3):
        sink.write(record())
    sink.close()


def test_a_collector_that_fails_at_the_end_alone_is_named_then() -> None:
    sink = OtelSink(Sender(RuntimeError("gone")).open, HOUR)
    sink.write(record())
    with pytest.raises(ConnectionError, match=r"^gone$"):
        sink.close()


def test_the_end_does_not_wait_for_a_collector_that_hangs() -> None:
    released = threading.Event()

    class Hanging(Sender):
        def send(self) -> None:
            released.wait(60.0)

        def close(self) -> None:
            # As the exporter does: what waits gives up.
            released.set()

    sink = OtelSink(Hanging().open, HOUR, patience_s=0.01)
    sink.write(record())
    with pytest.raises(ConnectionError, match=r"^no answer within 0\.01 s, so the last figures were not sent$"):
        sink.close()
    thread = sink._thread
    assert thread is not None
    thread.join(10.0)
    assert not thread.is_alive()


def test_a_forked_child_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Sender()
    sink = OtelSink(sender.open, HOUR)
    sink.write(record())
    with monkeypatch.context() as child:
        child.setattr("eco2ai_callbacks.sinks.otel.os.getpid", lambda: -1)
        sink.close()
    assert not sender.is_closed
    sink.close()
    assert sender.sent == [7.2]


def test_a_record_without_a_total_changes_nothing() -> None:
    sender = Sender()
    sink = OtelSink(sender.open, HOUR)
    sink.write(Record(run="a", writer="w", event="stage"))
    sink.close()
    assert sender.sent == []
    never = OtelSink(sender.open, HOUR)
    never.close()
    assert sender.sent == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, 60.0), ("", 60.0), ("5000", 5.0), ("soon", 60.0), ("-1", 60.0), ("nan", 60.0), ("inf", 60.0)],
    ids=["unset", "empty", "five seconds", "a word", "negative", "nan", "infinite"],
)
def test_the_interval_is_opentelemetrys(value: str | None, seconds: float) -> None:
    assert interval_s({} if value is None else {"OTEL_METRIC_EXPORT_INTERVAL": value}) == seconds


def test_it_is_opened_only_where_the_setting_asks_for_it() -> None:
    assert open_otel(Settings(), CLOUD_VM) is None


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "eco2ai_callbacks.sinks.otel_meter", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    with pytest.raises(
        SettingsError, match=r'^otel=True needs the package opentelemetry.*: pip install "eco2ai_callba'
    ):
        open_otel(Settings(otel=True), CLOUD_VM)


def test_the_setting_opens_the_sender() -> None:
    pytest.importorskip("opentelemetry.sdk")
    sink = open_otel(Settings(otel=True), CLOUD_VM)
    assert sink is not None
    assert sink.name == "OpenTelemetry"
    sink.close()
