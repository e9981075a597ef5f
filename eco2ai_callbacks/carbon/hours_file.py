"""Files of carbon intensities over time: CSV, or Parquet with the extra ``parquet``."""

from __future__ import annotations

import csv
import hashlib
import math
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from eco2ai_callbacks.carbon import places
from eco2ai_callbacks.carbon.series import KINDS, Series, Span
from eco2ai_callbacks.errors import SettingsError

# Names of columns, in lower case. Those with "utc" in them hold times in UTC; others must state their offset.
_TIMES = (
    *("start", "from", "begin", "datetime", "time", "timestamp", "hour"),
    *("start_utc", "datetime_utc", "time_utc", "timestamp_utc", "hour_utc", "datetime (utc)"),
)
_ENDS = ("end", "to", "end_utc")
_ZONES = ("zone", "region", "zone id")
_FIGURES = ("g_per_kwh", "gco2_per_kwh", "carbon_intensity", "carbonintensity", "intensity")
# The two columns of the files that Electricity Maps publishes; the kind that is wanted selects one.
_BY_KIND = {
    "lifecycle": ("carbon intensity gco₂eq/kwh (life cycle)", "carbon intensity gco₂eq/kwh (lca)"),
    "direct": ("carbon intensity gco₂eq/kwh (direct)",),
}
ACCEPTED = (
    "accepted is a CSV or Parquet file with the columns start (ISO 8601 with its offset, such as 2026-01-31T18:00Z) "
    "and g_per_kwh, and optionally end, zone and kind"
)
# Length of a row in a file that has only one.
_HOUR_S = 3600.0
_HIGHEST_G = 5000.0


@dataclass(frozen=True, slots=True)
class _Row:
    """One row: its place in the file, for errors; begin, end, figure."""

    at: str
    zone: str
    kind: str
    begin_s: float
    end_s: float | None
    g_per_kwh: float | None


def read_hours(path: Path, region: str | None = None, kind: str = "best") -> Series:
    """Return the carbon intensities of a file.

    A row lasts until its ``end``; without that column as long as most rows are apart, and at most until the next. An
    empty figure is a gap.

    Args:
        path: The file.
        region: The place whose rows count, in a file of several zones.
        kind: ``direct`` selects that column in a file that has one for each kind; other values the life-cycle one.

    Raises:
        SettingsError: The file is not there, cannot be read, or does not hold such rows.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _Unreadable("it is no regular file")  # a pipe would never end
        content = path.read_bytes()
        parquet = content[:4] == b"PAR1"
        table = _parquet(path) if parquet else _csv(content)
        rows = list(_rows(table, kind))
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from None
    except _Unreadable as error:
        raise _refused(path, str(error)) from None
    rows = _of_zone(path, rows, region)
    kinds = {row.kind for row in rows}
    if len(kinds) > 1:
        raise _refused(path, f"it holds figures of several kinds, {', '.join(sorted(kinds))}, which are never mixed")
    source = f"{path.name} (SHA-256 {hashlib.sha256(content).hexdigest()[:12]})"
    spans = _spans(path, rows)
    if not spans:
        raise _refused(path, "no row of it holds a figure")
    return Series(spans, source, kinds.pop())


class _Unreadable(Exception):
    """The content is not what is accepted; the text is the reason."""


def _refused(path: Path, why: str) -> SettingsError:
    return SettingsError(f"intensity={str(path)!r} cannot be used: {why}; {ACCEPTED}")


# --- reading ---------------------------------------------------------------------------------------------------------


def _csv(content: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise _Unreadable("it is no text in UTF-8, and no Parquet file") from None
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not numbered:
        raise _Unreadable("it is empty")
    separator = max(",;\t", key=numbered[0][1].count)
    try:
        header, *found = csv.reader((line for _, line in numbered), delimiter=separator)
    except csv.Error as error:
        raise _Unreadable(f"it is no CSV: {error}") from None
    names = [name.strip().lower() for name in header]
    for (number, _), fields in zip(numbered[1:], found, strict=False):
        padded = [*fields, *[""] * (len(names) - len(fields))]
        yield f"line {number}", {name: field.strip() for name, field in zip(names, padded, strict=False)}


def _parquet(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table
    except ImportError:
        raise _Unreadable('Parquet files need pyarrow: pip install "eco2ai_callbacks[parquet]"') from None
    try:
        columns = {str(name).strip().lower(): values for name, values in read_table(path).to_pydict().items()}
    except ArrowException as error:
        raise _Unreadable(f"it is no Parquet file that can be read: {error}") from None
    for number, values in enumerate(zip(*columns.values(), strict=True), 1):
        yield f"row {number}", dict(zip(columns, values, strict=True))


def _rows(table: Iterable[tuple[str, Mapping[str, Any]]], kind: str) -> Iterator[_Row]:
    """Return the rows; the columns are those of the first."""
    time = end = zone = figure = ""
    kind_of = "unstated"
    for count, (at, values) in enumerate(table):
        if not count:
            time, end, zone = (_column(values, names) for names in (_TIMES, _ENDS, _ZONES))
            figure = _column(values, _FIGURES)
            if not figure:
                kind_of = "direct" if kind == "direct" else "lifecycle"
                figure = _column(values, _BY_KIND[kind_of])
            missing = [name for name, found in (("start", time), ("g_per_kwh", figure)) if not found]
            if missing:
                raise _Unreadable(f"it has no column {' and no column '.join(missing)}, but {', '.join(values)}")
        own = str(values.get("kind") or "").strip().lower() or kind_of
        if own not in KINDS:
            raise _Unreadable(f"{at} has the kind {own!r}; accepted are {', '.join(KINDS)}")
        begin_s = _moment(values.get(time), time, at)
        last = values.get(end) if end else None
        end_s = None if last is None or last == "" else _moment(last, end, at)
        if end_s is not None and end_s <= begin_s:
            raise _Unreadable(f"{at} ends before it starts")
        yield _Row(at, str(values.get(zone) or ""), own, begin_s, end_s, _figure(values.get(figure), at))


def _column(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((name for name in names if name in values), "")


def _moment(value: Any, column: str, at: str) -> float:
    """Return a time in Unix seconds."""
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise _Unreadable(f"{at} has no time in {column}, but {value!r:.40}") from None
    if found.tzinfo is None:
        if "utc" not in column:
            raise _Unreadable(
                f"{at} has a time without its offset from UTC, {value!s:.40}; write it with one, or name the column "
                f"{column}_utc"
            )
        found = found.replace(tzinfo=UTC)
    return found.timestamp()


def _figure(value: Any, at: str) -> float | None:
    """Return a figure; ``None`` for an empty one."""
    if value is None or (isinstance(value, str) and value.lower() in ("", "nan", "null", "none", "na")):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _Unreadable(f"{at} has no number of g/kWh, but {value!r:.40}") from None
    if math.isnan(number):
        return None
    if not 0 <= number <= _HIGHEST_G:
        raise _Unreadable(f"{at} has {number!r} g/kWh; accepted are numbers from 0 to {_HIGHEST_G:.0f}")
    return number


# --- selecting -------------------------------------------------------------------------------------------------------


def _of_zone(path: Path, rows: list[_Row], region: str | None) -> list[_Row]:
    """Return the rows of one zone: the only one, else the one that is the place or contains it, the smallest."""
    zones = dict.fromkeys(row.zone for row in rows)
    if len(zones) < 2:
        return rows
    shown = ", ".join(list(zones)[:5]) + (", ..." if len(zones) > 5 else "")
    if region is None:
        raise _refused(path, f"it holds several zones, {shown}; set region= to one of them")
    around = [spot.id for spot in places.chain(places.resolve(region))]
    placed = {zone: around.index(spot) for zone in zones if (spot := _spot_of(zone)) in around}
    if not placed:
        raise _refused(path, f"none of its zones, {shown}, is or contains region={region!r}")
    best = min(placed, key=lambda zone: placed[zone])
    return [row for row in rows if row.zone == best]


def _spot_of(zone: str) -> str:
    try:
        return places.resolve(zone).id
    except SettingsError:
        return ""


def _spans(path: Path, rows: Sequence[_Row]) -> list[Span]:
    ordered = sorted(rows, key=lambda row: row.begin_s)
    begins = sorted({row.begin_s for row in ordered})
    steps = Counter(later - earlier for earlier, later in pairwise(begins))
    usual = min(steps, key=lambda step: (-steps[step], step)) if steps else _HOUR_S
    following = dict(pairwise(begins))
    spans: dict[float, tuple[Span, str]] = {}
    for row in ordered:
        if row.g_per_kwh is None:
            continue
        next_s = following.get(row.begin_s, math.inf)
        end_s = min(row.begin_s + usual, next_s) if row.end_s is None else row.end_s
        span = Span(row.begin_s, end_s, row.g_per_kwh)
        before, at = spans.setdefault(row.begin_s, (span, row.at))
        if before != span:
            raise _refused(path, f"{at} and {row.at} hold different figures for the same time")
    found = [span for span, _ in spans.values()]
    for one, other in pairwise(found):
        if other.begin_s < one.end_s:
            raise _refused(path, f"{spans[one.begin_s][1]} lasts into the time of {spans[other.begin_s][1]}")
    return found
