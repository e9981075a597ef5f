"""Logs of real runs in other forms, live and afterwards, through the installed command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from http_server import Server, sends, serving

from eco2ai_callbacks.cli import child
from eco2ai_callbacks.export.forms import FORMS
from eco2ai_callbacks.report.load import load

pytestmark = pytest.mark.skipif(not child.available(), reason="this system cannot wait without reaping")

ECO2AI = (sys.executable, "-m", "eco2ai_callbacks")
WORK = ("-c", "import time\nwhile time.process_time() < 0.2: pass")


@pytest.fixture(scope="module")
def collector() -> Iterator[Server]:
    with serving(sends({})) as server:
        yield server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, collector: Server) -> Path:
    """A folder with the log of one real run, which has also shown itself live."""
    folder = tmp_path_factory.mktemp("exports")
    environ = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.base, "ECO2AI_PROMETHEUS_FILE": "live.prom"}
    otel = ("--otel", "true") if _has_otel() else ()
    command = [*ECO2AI, "run", "--region", "FR", *otel, "--", sys.executable, *WORK]
    subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True, timeout=60)
    return folder


def _has_otel() -> bool:
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None


def eco2ai(place: Path, *args: str) -> Any:
    return subprocess.run([*ECO2AI, *args], cwd=place, capture_output=True, text=True, timeout=60)


def test_the_live_file_and_the_collector_have_the_logs_figures(place: Path, collector: Server) -> None:
    (run,) = load(place / "eco2ai.jsonl")
    assert json.loads((place / "eco2ai.jsonl").read_text().splitlines()[-1]).get("failures", []) == []
    values = [
        float(line.rpartition(" ")[2])
        for line in (place / "live.prom").read_text().splitlines()
        if line.startswith("eco2ai_energy_joules_total{")
    ]
    assert sum(values) == pytest.approx(sum(run.joules.values()))
    if not _has_otel():
        return
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    metrics = ExportMetricsServiceRequest.FromString(collector.bodies[-1]).resource_metrics[0].scope_metrics[0].metrics
    (energy,) = (metric for metric in metrics if metric.name == "eco2ai.energy")
    assert sum(point.as_double for point in energy.sum.data_points) == pytest.approx(sum(run.joules.values()))


def test_each_form_is_written_and_says_the_same(place: Path) -> None:
    (run,) = load(place / "eco2ai.jsonl")
    for form in ("prometheus", "codecarbon", "eco2ai"):
        done = eco2ai(place, "export", "--format", form, "-o", f"a{FORMS[form].suffix}", "--force")
        assert done.returncode == 0, done.stderr
        assert done.stderr.endswith(f"a{FORMS[form].suffix} written\n")
        if FORMS[form].suffix == ".csv":
            again = load(place / "a.csv")
            assert again.sum.energy_kwh == pytest.approx(run.energy_kwh)
            assert again.sum.co2_kg == pytest.approx(run.co2_kg)
    # Without the run log, a CSV of eco2AI is what a report has.
    alone = place / "alone"
    alone.mkdir()
    (place / "a.csv").rename(alone / "emission.csv")
    done = eco2ai(alone, "report", "emission.csv", "--format", "json")
    (row,) = json.loads(done.stdout)["rows"]
    assert row["energy_kwh"] == pytest.approx(run.energy_kwh)


def test_a_program_without_a_collector_runs_as_it_would_and_its_log_says_so_once(tmp_path: Path) -> None:
    if not _has_otel():
        pytest.skip("no opentelemetry-sdk")
    script = """
from eco2ai_callbacks import Tracker
with Tracker(otel=True, prometheus_file="/dev/null/a.prom", region="FR", console=False) as run:
    for epoch in range(3):
        run.end_epoch()
print("done")
"""
    environ = os.environ | {
        **{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"},
        "OTEL_METRIC_EXPORT_INTERVAL": "50",
    }
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert done.stderr.count("OpenTelemetry: ") == 1, done.stderr
    assert done.stderr.count("Prometheus file: ") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "Transient error" not in done.stderr
    assert load(tmp_path / "eco2ai.jsonl")[0].states == ("finished",)
