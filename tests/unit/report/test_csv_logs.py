"""Other tools' CSV files as records."""

from __future__ import annotations

from pathlib import Path

import pytest

from eco2ai_callbacks.report.csv_logs import codecarbon, reader_of, rows
from eco2ai_callbacks.report.load import load

# Columns and the values of one run as CodeCarbon 3.0.4 writes them (codecarbon/output_methods/emissions_data.py).
HEAD = (
    "timestamp,project_name,run_id,experiment_id,duration,emissions,emissions_rate,cpu_power,gpu_power,ram_power,"
    "cpu_energy,gpu_energy,ram_energy,energy_consumed,country_name,country_iso_code,region,codecarbon_version,pue"
)
RUN = "2026-01-01T10:00:00,demo,run-1,e,{0},{1},0.1,40,200,20,{2},{3},{4},{5},France,FRA,brittany,3.0.4,1.0"


def write(*lines: str) -> Path:
    path = Path("emissions.csv")
    path.write_text("\n".join([HEAD, *lines]) + "\n")
    return path


def test_the_last_row_of_a_run_is_the_run() -> None:
    path = write(RUN.format(10, 0.01, 0.1, 0.2, 0.1, 0.4), RUN.format(20, 0.02, 0.2, 0.5, 0.1, 0.8))
    (record,) = codecarbon(path)
    assert (record.run, record.project, record.seconds, record.co2_kg) == ("run-1", "demo", 20.0, 0.02)
    assert {name: joules / 3.6e6 for name, joules in record.joules.items()} == {"cpu": 0.2, "gpu": 0.5, "ram": 0.1}
    (run,) = load(path)
    assert run.energy_kwh == pytest.approx(0.8)
    assert run.factors[0].g_per_kwh == pytest.approx(25.0)
    assert run.versions == ("CodeCarbon 3.0.4",)
    assert run.sum.energy_band_kwh is None


def test_energy_with_an_overhead_is_divided_by_it() -> None:
    path = write(RUN.format(10, 0.01, 0.2, "", "", 0.2).replace("3.0.4,1.0", "3.0.4,2.0"))
    (record,) = codecarbon(path)
    assert record.joules == {"cpu": pytest.approx(0.1 * 3.6e6)}
    assert record.pue == 2.0


def test_a_run_that_states_its_energy_alone_has_it() -> None:
    (record,) = codecarbon(write(RUN.format(10, 0.01, "", "", "", 0.4)))
    assert record.joules == {"all": 0.4 * 3.6e6}


@pytest.mark.parametrize("odd", ["nan", "-1", "inf", "=1+1", "many"])
def test_what_is_no_number_is_absent(odd: str) -> None:
    (record,) = codecarbon(write(RUN.format(odd, odd, odd, odd, odd, odd)))
    assert (record.seconds, record.co2_kg, record.joules) == (0.0, None, {})


def test_a_file_of_no_tool_has_no_reader() -> None:
    path = Path("notes.csv")
    for text in ("", "a,b\n1,2\n", '"' + "x" * 100_000, "\0\0\0"):
        path.write_text(text)
        assert reader_of(path) is None
    assert reader_of(write()) is not None


def test_damaged_rows_are_passed_over() -> None:
    path = write("short,row", RUN.format(1, 1, 1, 1, 1, 1) + ",more", RUN.format(2, 1, 1, 1, 1, 3), '"' + "x" * 2**21)
    assert [row["duration"] for row in rows(path)] == ["2"]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"demo", b"d\xff\0mo"))
    (record,) = codecarbon(path)
    assert record.project == "d�mo"
