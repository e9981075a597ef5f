"""Counters as OpenTelemetry's SDK sends them, to a server of this machine."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from http_server import Server, sends, serving

from eco2ai_callbacks.sinks.counters import RunCounters

pytest.importorskip("opentelemetry.sdk.metrics")

from eco2ai_callbacks.sinks.otel_meter import NotSent, OtelMeter, with_path

LABELS = {"run": 'a "b"\n', "project": "p", "host": "h", "rank": "0"}
RUN = RunCounters(LABELS, {"cpu": 7.2, "gpu:GPU-1": 3.6}, 2.0, 1.5, None, 1767225602.0, {"version": "0.1.0"})


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def received(body: bytes) -> Any:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    request = ExportMetricsServiceRequest()
    request.ParseFromString(body)
    return request.resource_metrics[0]


@pytest.fixture
def collector() -> Iterator[Server]:
    with serving(sends({})) as server:
        yield server


def send(meter: OtelMeter) -> None:
    try:
        meter.send()
    finally:
        meter.close()


def test_counters_arrive_with_units_and_labels(collector: Server) -> None:
    send(OtelMeter(lambda: [RUN], collector.base))
    assert collector.paths == ["/v1/metrics"]
    (body,) = collector.bodies
    found = received(body)
    assert {each.key: each.value.string_value for each in found.resource.attributes}["service.name"] == "eco2ai"
    metrics = {metric.name: metric for metric in found.scope_metrics[0].metrics}
    assert {name: metric.unit for name, metric in metrics.items()} == {
        **{"eco2ai.energy": "J", "eco2ai.co2e": "g", "eco2ai.duration": "s"},
        **{"eco2ai.last_record_timestamp": "s", "eco2ai.run_info": "1"},
    }
    energy = metrics["eco2ai.energy"].sum
    assert energy.is_monotonic
    # AGGREGATION_TEMPORALITY_CUMULATIVE
    assert energy.aggregation_temporality == 2
    points = [
        ({each.key: each.value.string_value for each in point.attributes}, point.as_double)
        for point in energy.data_points
    ]
    assert points == [
        (LABELS | {"channel": "cpu", "component": "cpu"}, 7.2),
        (LABELS | {"channel": "gpu:GPU-1", "component": "gpu"}, 3.6),
    ]


def test_the_standard_variables_say_where_and_what(collector: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"{collector.base}/otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-token=secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "cluster")
    meter = OtelMeter(lambda: [RUN])
    assert meter.address == f"{collector.base}/otlp/v1/metrics"
    send(meter)
    assert collector.paths == ["/otlp/v1/metrics"]
    assert collector.headers[0]["x-token"] == "secret"
    found = received(gzip.decompress(collector.bodies[0]))
    assert {each.key: each.value.string_value for each in found.resource.attributes}["service.name"] == "cluster"


def test_half_of_a_character_is_replaced(collector: Server) -> None:
    send(OtelMeter(lambda: [RunCounters({"run": "\ud800"}, {}, 1.0)], collector.base))
    (point,) = received(collector.bodies[0]).scope_metrics[0].metrics[0].sum.data_points
    assert point.attributes[0].value.string_value == "?"


@pytest.mark.parametrize("status", [400, 503])
def test_a_collector_that_refuses_is_named_and_logs_nothing(status: int, caplog: pytest.LogCaptureFixture) -> None:
    with serving(sends({}, status=status)) as server:
        address = f"http://user:password@{server.base.removeprefix('http://')}"
        with pytest.raises(NotSent, match=rf"^the collector at {server.base}/v1/metrics took no metrics: ") as error:
            send(OtelMeter(lambda: [RUN], address, timeout_s=0.3))
    assert "password" not in str(error.value)
    assert caplog.records == []


def test_a_collector_that_is_not_there_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NotSent, match=r"^the collector at http://127\.0\.0\.1:1/v1/metrics took no metrics: .+"):
        send(OtelMeter(lambda: [RUN], "http://127.0.0.1:1", timeout_s=0.3))
    assert caplog.records == []


def test_figures_that_fail_are_named_too(collector: Server) -> None:
    def broken() -> list[RunCounters]:
        raise RuntimeError("no figures")

    meter = OtelMeter(broken, collector.base)
    send(meter)
    assert all(not received(body).scope_metrics for body in collector.bodies)


def test_a_programs_own_exporter_still_logs(caplog: pytest.LogCaptureFixture) -> None:
    import threading

    logger = logging.getLogger("opentelemetry.exporter.otlp.proto.http.metric_exporter")

    def figures() -> list[RunCounters]:
        other = threading.Thread(target=logger.warning, args=("another's",))
        other.start()
        other.join()
        return [RUN]

    with pytest.raises(NotSent):
        send(OtelMeter(figures, "http://127.0.0.1:1", timeout_s=0.1))
    assert {record.getMessage() for record in caplog.records} == {"another's"}
    assert logger.filters == []


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("http://a:4318", "http://a:4318/v1/metrics"),
        ("http://a:4318/", "http://a:4318/v1/metrics"),
        ("https://a/x/v1/metrics", "https://a/x/v1/metrics"),
    ],
    ids=["host", "slash", "path"],
)
def test_the_address_of_a_collector_alone_gets_the_path(given: str, found: str) -> None:
    assert with_path(given) == found
