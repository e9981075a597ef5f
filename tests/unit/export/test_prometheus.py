"""Runs as Prometheus's counters."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_logs import folder, hostile

from eco2ai_callbacks.export.prometheus import write
from eco2ai_callbacks.report.load import load

parser = pytest.importorskip("prometheus_client.parser")


@pytest.mark.parametrize("make", [folder, hostile], ids=["runs", "hostile"])
def test_the_parser_reads_it_and_its_sum_is_the_reports(make: object) -> None:
    path: Path = make()  # type: ignore[operator]
    runs = load(path)
    families = {family.name: family for family in parser.text_string_to_metric_families(write(runs, {}))}
    assert {family.type for family in families.values()} == {"counter", "gauge"}
    samples = families["eco2ai_energy_joules"].samples
    assert sum(sample.value for sample in samples) == pytest.approx(runs.sum.energy_kwh * 3.6e6)
    assert sum(s.value for s in families["eco2ai_co2e_grams"].samples) == pytest.approx(runs.sum.co2_kg * 1000)
    for family in families.values():
        keys = [(sample.name, *sorted(sample.labels.items())) for sample in family.samples]
        assert len(keys) == len(set(keys)), "Prometheus refuses a file that has a series twice"
    assert {sample.labels["run"] for sample in samples} == {run.id for run in runs if run.counts and run.joules}
