"""Files of hours: what is accepted, and what is refused in one sentence."""

from __future__ import annotations

import builtins
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.carbon.hours_file import read_hours
from eco2ai_callbacks.carbon.series import Span
from eco2ai_callbacks.errors import SettingsError

H = 3600.0
T0 = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def written(folder: Path, text: str, name: str = "hours.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def spans(path: Path, region: str | None = None, kind: str = "best") -> list[tuple[float, float, float]]:
    """The spans, in hours since the year's begin."""
    found = read_hours(path, region, kind).spans
    return [((s.begin_s - T0) / H, (s.end_s - T0) / H, s.g_per_kwh) for s in found]


@pytest.mark.parametrize(
    "text",
    [
        "start,g_per_kwh\n2026-01-01T00:00Z,100\n2026-01-01T01:00Z,50\n",
        "\ufeffStart ; G_per_kWh\n2026-01-01 01:00:00+01:00;100\n2026-01-01 02:00:00+01:00;50\n",
        "# of our own\n\nstart_utc\tg_per_kwh\n2026-01-01T01:00\t50\n2026-01-01T00:00\t100\n",
        "from,to,intensity\n2026-01-01T00:00Z,2026-01-01T01:00Z,100\n2026-01-01T01:00Z,2026-01-01T02:00Z,50\n",
        "Datetime (UTC),Zone id,Carbon intensity gCO₂eq/kWh (direct),Carbon intensity gCO₂eq/kWh (Life cycle)\n"
        "2026-01-01 00:00:00,FR,60,100\n2026-01-01 01:00:00,FR,20,50\n",
        "start,g_per_kwh\n2026-01-01T00:00Z,100\n2026-01-01T01:00Z,50\n2026-01-01T01:00Z,50\n",
    ],
    ids=["plain", "semicolons and offsets", "tabs, utc, unsorted", "with ends", "as published", "a row twice"],
)
def test_a_file_is_read_in_each_accepted_form(text: str, tmp_path: Path) -> None:
    assert spans(written(tmp_path, text)) == [(0.0, 1.0, 100.0), (1.0, 2.0, 50.0)]


def test_the_kind_that_is_wanted_selects_the_column(tmp_path: Path) -> None:
    head = "Datetime (UTC),Carbon intensity gCO₂eq/kWh (direct),Carbon intensity gCO₂eq/kWh (LCA)\n"
    path = written(tmp_path, head + "2026-01-01 00:00:00,60,100\n")
    assert [(read_hours(path, None, kind).kind, spans(path, None, kind)[0][2]) for kind in ("best", "direct")] == [
        ("lifecycle", 100.0),
        ("direct", 60.0),
    ]


def test_a_missing_hour_and_an_empty_figure_are_gaps(tmp_path: Path) -> None:
    text = "start,g_per_kwh\n2026-01-01T00:00Z,1\n2026-01-01T01:00Z,\n2026-01-01T02:00Z,3\n2026-01-01T06:00Z,4\n"
    found = spans(written(tmp_path, text + "2026-01-01T07:00Z,nan\n"))
    assert found == [(0.0, 1.0, 1.0), (2.0, 3.0, 3.0), (6.0, 7.0, 4.0)]


def test_rows_of_quarters_last_a_quarter_and_a_single_row_an_hour(tmp_path: Path) -> None:
    quarters = "".join(f"2026-01-01T00:{minute:02d}Z,1\n" for minute in (0, 15, 30))
    assert spans(written(tmp_path, "start,g_per_kwh\n" + quarters))[-1] == (0.5, 0.75, 1.0)
    assert spans(written(tmp_path, "start,g_per_kwh\n2026-01-01T00:00Z,7\n")) == [(0.0, 1.0, 7.0)]


def test_the_hour_that_a_clock_repeats_in_autumn_is_two_hours(tmp_path: Path) -> None:
    text = "start,g_per_kwh\n2026-10-25T02:00+02:00,10\n2026-10-25T02:00+01:00,30\n2026-10-25T03:00+01:00,50\n"
    begin = datetime(2026, 10, 25, tzinfo=UTC).timestamp()
    found = read_hours(written(tmp_path, text)).spans
    assert found == tuple(Span(begin + i * H, begin + (i + 1) * H, g) for i, g in enumerate((10.0, 30.0, 50.0)))


def test_kind_and_source_are_told(tmp_path: Path) -> None:
    text = "start,g_per_kwh,kind\n2026-01-01T00:00Z,1,Average\n"
    found = read_hours(written(tmp_path, text))
    assert found.kind == "average"
    assert found.source.startswith("hours.csv (SHA-256 ")
    assert str(tmp_path) not in found.source
    assert read_hours(written(tmp_path, text.replace(",1,", ",2,"))).source != found.source
    assert read_hours(written(tmp_path, "start,g_per_kwh\n2026-01-01T00:00Z,1\n")).kind == "unstated"


ZONES = "start,zone,g_per_kwh\n" + "".join(
    f"2026-01-01T00:00Z,{zone},{figure}\n" for zone, figure in (("DK1", 1), ("SE3", 2), ("SE", 3), ("FR", 4))
)


@pytest.mark.parametrize(
    ("region", "figure"), [("DK_1", 1.0), ("SE3", 2.0), ("SE4", 3.0), ("aws:eu-west-3", 4.0), ("Sweden", 3.0)]
)
def test_in_a_file_of_several_zones_the_smallest_around_the_place_counts(
    region: str, figure: float, tmp_path: Path
) -> None:
    assert spans(written(tmp_path, ZONES), region) == [(0.0, 1.0, figure)]


HEAD = "start,g_per_kwh\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("a,b\n1,2\n", "it has no column start and no column g_per_kwh, but a, b"),
        ("start,b\n2026-01-01T00:00Z,2\n", "it has no column g_per_kwh, but start, b"),
        (HEAD, "no row of it holds a figure"),
        (HEAD + "2026-01-01T00:00Z,\n", "no row of it holds a figure"),
        (HEAD + "2026-01-01T00:00,1\n", "line 2 has a time without its offset from UTC"),
        (HEAD + "\nnoon,1\n", "line 3 has no time in start, but 'noon'"),
        (HEAD + "2026-01-01T00:00Z\n", "no row of it holds a figure"),
        (HEAD + "2026-01-01T00:00Z,low\n", "line 2 has no number of g/kWh, but 'low'"),
        (HEAD + "2026-01-01T00:00Z,-1\n", "line 2 has -1.0 g/kWh; accepted are numbers from 0 to 5000"),
        (HEAD + "2026-01-01T00:00Z,inf\n", "line 2 has inf g/kWh"),
        (HEAD + "2026-01-01T00:00Z,1\n2026-01-01T00:00Z,2\n", "line 2 and line 3 hold different figures"),
        (
            "start,end,g_per_kwh\n2026-01-01T00:00Z,2026-01-01T02:00Z,1\n2026-01-01T01:00Z,2026-01-01T02:00Z,2\n",
            "line 2 lasts into the time of line 3",
        ),
        ("start,end,g_per_kwh\n2026-01-01T00:00Z,2026-01-01T00:00Z,1\n", "line 2 ends before it starts"),
        ("start,g_per_kwh,kind\n2026-01-01T00:00Z,1,green\n", "line 2 has the kind 'green'"),
        (
            "start,g_per_kwh,kind\n2026-01-01T00:00Z,1,average\n2026-01-01T01:00Z,1,marginal\n",
            "figures of several kinds, average, marginal, which are never mixed",
        ),
        (ZONES, "it holds several zones, DK1, SE3, SE, FR; set region="),
    ],
    ids=lambda value: value[:40].replace("\n", " ") if " " in value else None,
)
def test_what_is_no_such_file_is_refused_in_one_sentence(text: str, why: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as error:
        read_hours(path)
    message = str(error.value)
    assert message.startswith(f"intensity={str(path)!r} cannot be used: ")
    assert why in message
    assert "; accepted is a CSV or Parquet file with the columns start" in message
    assert "\n" not in message


def test_a_file_that_has_no_zone_around_the_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is or contains region='DE'"):
        read_hours(written(tmp_path, ZONES), "DE")


def test_a_file_that_is_missing_a_folder_a_pipe_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(tmp_path / "pipe")
    for path, why in (
        (tmp_path / "pipe", "no regular file"),
        (tmp_path / "gone.csv", "No such file"),
        (tmp_path, "no regular file"),
        (tmp_path / "binary.csv", "no text in UTF-8"),
    ):
        with pytest.raises(SettingsError, match=why):
            read_hours(path)


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    (tmp_path / "hours.parquet").write_bytes(b"PAR1 and so on")
    with pytest.raises(SettingsError, match=r'pip install "eco2ai_callbacks\[parquet\]"'):
        read_hours(tmp_path / "hours.parquet")


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    times = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (0, 1, 3)]
    path = tmp_path / "hours.parquet"
    parquet.write_table(arrow.table({"start": times, "g_per_kwh": [100.0, None, 50.0]}), path)
    assert spans(path) == [(0.0, 1.0, 100.0), (3.0, 4.0, 50.0)]
    naive = [time.replace(tzinfo=None) for time in times]
    parquet.write_table(arrow.table({"start": naive, "g_per_kwh": [1.0, 2.0, 3.0]}), path)
    with pytest.raises(SettingsError, match="row 1 has a time without its offset"):
        read_hours(path)
    path.write_bytes(b"PAR1 and so on")
    with pytest.raises(SettingsError, match="no Parquet file that can be read"):
        read_hours(path)
