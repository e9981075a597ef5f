"""Runs that are sent to an OpenTelemetry collector."""

from __future__ import annotations

import pytest
from http_server import sends, serving
from report_logs import folder

from eco2ai_callbacks.export.forms import FORMS, NotExported
from eco2ai_callbacks.export.write import export
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.select import selected

pytest.importorskip("opentelemetry.sdk.metrics")


def sent(**options: str) -> str:
    with selected("logs") as selection:
        return export(selection, FORMS["otel"], options).text


def energy(bodies: list[bytes]) -> list[float]:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    found = []
    for body in bodies:
        request = ExportMetricsServiceRequest.FromString(body)
        metrics = request.resource_metrics[0].scope_metrics[0].metrics
        found += [p.as_double for metric in metrics if metric.name == "eco2ai.energy" for p in metric.sum.data_points]
    return found


@pytest.mark.parametrize("limit", [1500, 2], ids=["at once", "in parts"])
def test_what_counts_is_sent_however_many_runs_there_are(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    folder()
    monkeypatch.setattr(FORMS["otel"].load(), "_LIMIT", limit)
    with serving(sends({})) as server:
        assert sent(endpoint=server.base) == f"4 runs sent to {server.base}/v1/metrics\n"
    assert len(server.bodies) == (1 if limit > 2 else 2)
    assert sum(energy(server.bodies)) == pytest.approx(load("logs").sum.energy_kwh * 3.6e6)


def test_a_collector_that_is_not_there_is_one_sentence() -> None:
    folder()
    with pytest.raises(NotExported, match=r"^--format otel: the collector at http://127\.0\.0\.1:1/v1/metrics took no"):
        sent(endpoint="http://127.0.0.1:1", timeout_s="0.1")


@pytest.mark.parametrize(
    "options", [{"endpoint": "localhost"}, {"timeout_s": "0"}, {"timeout_s": "soon"}], ids=["address", "zero", "a word"]
)
def test_a_bad_option_is_one_sentence(options: dict[str, str]) -> None:
    folder()
    ((key, value),) = options.items()
    with pytest.raises(NotExported, match=rf"^--set {key}='{value}' is not accepted; accepted: "):
        sent(**options)
