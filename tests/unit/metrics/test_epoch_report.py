"""What an epoch's end returns."""

from __future__ import annotations

from eco2ai_callbacks.metrics.epoch_report import EpochReport
from eco2ai_callbacks.usage import Usage


def test_scalars_are_all_of_them_and_each_part_can_be_left_out_by_name() -> None:
    report = EpochReport(Usage(), {"a": 1.0}, {"b": 2.0}, {"c": 3.0}, {"d": 4.0})
    assert report.scalars == {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    assert report.train | report.total == {"a": 1.0, "c": 3.0}


def test_an_empty_report_has_no_figures_and_no_reason_to_stop() -> None:
    assert EpochReport().scalars == {}
    assert EpochReport().stop is None
