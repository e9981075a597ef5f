"""Records as a Parquet file, one row each, of which those that count are marked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eco2ai_callbacks.errors import refusal
from eco2ai_callbacks.export.forms import NotExported, nothing
from eco2ai_callbacks.report.counted import CountedRecord, CountedRecords
from eco2ai_callbacks.report.fields import band, mapping, moment, number, text, texts
from eco2ai_callbacks.report.load import Progress
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.select import Selection
from eco2ai_callbacks.usage import component_of, kwh

OPTIONS = {"compression": "snappy (by default, which all readers know), zstd, gzip or none."}

_COMPRESSIONS = ("snappy", "zstd", "gzip", "none")
# Rows of a row group: what is in memory at a time. A row has some hundred bytes.
_ROWS = 20_000
# Beyond, a number is none that any reader of 64 bits takes.
_LARGEST = 2**63 - 1

_TEXT, _WHOLE, _NUMBER, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_CHANNEL = pa.struct(
    [("channel", _TEXT), ("method", _TEXT), ("joules", _NUMBER), ("low_j", _NUMBER), ("high_j", _NUMBER)]
)
# Name, type, unit and meaning of each column, and its value.
_Column = tuple[str, pa.DataType, str, str, Callable[[CountedRecord], Any]]


def _component(name: str) -> Callable[[CountedRecord], float | None]:
    def energy(each: CountedRecord) -> float | None:
        parts = [joules for channel, joules in each.usage.joules.items() if component_of(channel) == name]
        return kwh(sum(parts)) if parts else None

    return energy


def _fact(name: str, form: Callable[[object], Any]) -> Callable[[CountedRecord], Any]:
    return lambda each: form(mapping(each.record.intensity).get(name))


_COLUMNS: tuple[_Column, ...] = (
    ("counts", _FLAG, "", "whether the row adds to a sum over the file", lambda e: e.counts),
    ("run", _TEXT, "", "id of the run", lambda e: _text(e.record.run)),
    ("project", _TEXT, "", "its project", lambda e: _text(text(e.record.project))),
    ("description", _TEXT, "", "its description", lambda e: _text(text(e.record.description))),
    ("parent", _TEXT, "", "id of the run inside which it was measured", lambda e: _text(e.record.parent)),
    ("host", _TEXT, "", "hash of the host's boot id", lambda e: _text(text(e.record.host))),
    ("rank", _WHOLE, "", "number of the process within the job", lambda e: _whole(e.record.rank)),
    ("world_size", _WHOLE, "", "number of processes within the job", lambda e: _whole(e.record.world_size)),
    ("writer", _TEXT, "", "id of the session", lambda e: _text(e.record.writer)),
    ("seq", _WHOLE, "", "number of the record within its session", lambda e: _whole(e.record.seq)),
    ("event", _TEXT, "", "what the record was written for", lambda e: _text(e.record.event)),
    ("epoch", _WHOLE, "", "number of the epoch, from 0", lambda e: _whole(e.record.epoch)),
    ("attempt", _WHOLE, "", "number of the epoch's attempt, from 1", lambda e: _whole(e.record.attempt)),
    ("stage", _TEXT, "", "train, validate, test, predict or other", lambda e: _text(text(e.record.stage))),
    ("start", pa.timestamp("us", "UTC"), "", "when the segment began", lambda e: _moment(e.record.start)),
    ("seconds", _NUMBER, "s", "length of the segment; ranks ran side by side", lambda e: e.usage.seconds),
    ("energy_kwh", _NUMBER, "kWh", "IT energy, without the data centre's overhead", lambda e: e.usage.energy_kwh),
    ("cpu_kwh", _NUMBER, "kWh", "the processor's part of energy_kwh", _component("cpu")),
    ("gpu_kwh", _NUMBER, "kWh", "the GPUs' part of energy_kwh", _component("gpu")),
    ("ram_kwh", _NUMBER, "kWh", "the memory's part of energy_kwh", _component("ram")),
    ("carried_kwh", _NUMBER, "kWh", "the part that a checkpoint held and the log did not", _component("carried")),
    ("co2_kg", _NUMBER, "kg", "CO2e, with the data centre's overhead", lambda e: e.usage.co2_kg),
    ("cost", _NUMBER, "", "money, with the same overhead, in the currency of the price", lambda e: e.usage.cost),
    ("pue", _NUMBER, "", "the data centre's overhead as a factor", lambda e: number(e.record.pue)),
    (
        "measured_share",
        _NUMBER,
        "",
        "energy from hardware counters / energy",
        lambda e: number(e.record.measured_share),
    ),
    ("g_per_kwh", _NUMBER, "g/kWh", "the carbon intensity", _fact("g_per_kwh", number)),
    ("region", _TEXT, "", "the place that it is of", _fact("region", lambda v: _text(text(v)))),
    ("factor_kind", _TEXT, "", "lifecycle or direct", _fact("kind", lambda v: _text(text(v)))),
    ("factor_year", _WHOLE, "", "its year", _fact("year", lambda v: _whole(v))),
    ("factor_dataset", _TEXT, "", "its dataset", _fact("dataset", lambda v: _text(text(v)))),
    ("samples", _WHOLE, "", "samples of the segment", lambda e: _whole(e.record.samples)),
    ("tokens", _NUMBER, "", "tokens of the segment", lambda e: number(e.record.tokens)),
    ("metrics", _TEXT, "", "what the framework logged, as JSON", lambda e: _json(e.record.metrics)),
    ("ended", _TEXT, "", "in a stop record: how the session ended", lambda e: _text(text(e.record.ended)) or None),
    ("failures", pa.list_(_TEXT), "", "failures so far", lambda e: [_text(t) for t in texts(e.record.failures)]),
    ("channels", pa.list_(_CHANNEL), "J", "energy by channel, with its band", lambda e: list(_channels(e))),
    ("version", _TEXT, "", "version of the package that wrote it", lambda e: _text(text(e.record.version))),
    ("schema", _WHOLE, "", "version of the record's form", lambda e: _whole(e.record.schema)),
    ("log", _TEXT, "", "the log that holds it", lambda e: _text(e.log)),
)
SCHEMA = pa.schema(
    [
        pa.field(name, kind, metadata={"description": meaning} | ({"unit": unit} if unit else {}))
        for name, kind, unit, meaning, _ in _COLUMNS
    ],
    metadata={"title": "records of run logs; SUM(energy_kwh) WHERE counts is what was used"},
)


def write(logs: Selection, options: Mapping[str, str], file: Path, progress: Progress | None = None) -> Runs:
    """Write the records of logs, a row group at a time.

    Args:
        logs: The logs.
        options: Values of :data:`OPTIONS`.
        file: The file.
        progress: Called with the bytes that were read.

    Returns:
        The runs.

    Raises:
        NotExported: A value is not accepted, or there is no record.
        OSError: A log cannot be read, or the file cannot be written.
    """
    compression = options.get("compression", _COMPRESSIONS[0])
    if compression not in _COMPRESSIONS:
        raise NotExported(refusal(f"--set compression={compression!r}", OPTIONS["compression"].removesuffix(".")))
    found = CountedRecords(logs, progress)
    if not found.runs.runs:
        raise nothing(logs)
    records = iter(found)
    with file.open("wb") as stream, pq.ParquetWriter(stream, SCHEMA, compression=compression) as writer:
        while part := _columns(islice(records, _ROWS)):
            writer.write_table(pa.table(part, schema=SCHEMA), row_group_size=_ROWS)
    return found.runs


def _columns(records: Iterable[CountedRecord]) -> list[pa.Array]:
    """Return the columns of records, none of which is kept; nothing where there is none."""
    columns: list[list[Any]] = [[] for _ in _COLUMNS]
    for each in records:
        for column, (_, _, _, _, value) in zip(columns, _COLUMNS, strict=True):
            column.append(value(each))
    if not columns[0]:
        return []
    return [pa.array(column, kind) for column, (_, kind, _, _, _) in zip(columns, _COLUMNS, strict=True)]


def _channels(each: CountedRecord) -> Iterator[dict[str, Any]]:
    bands, methods = mapping(each.record.band), mapping(each.record.method)
    for channel, joules in each.usage.joules.items():
        low, high = band(bands.get(channel)) or (None, None)
        method = text(methods.get(channel)) or None
        yield {
            "channel": _text(text(channel)),
            "method": _text(method),
            "joules": joules,
            "low_j": low,
            "high_j": high,
        }


def _text(value: str | None) -> str | None:
    """Return a text that UTF-8 can hold: half of a pair of surrogates is none."""
    return None if value is None else value.encode("utf-8", "replace").decode()


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) <= _LARGEST else None


def _moment(label: object) -> datetime | None:
    found = moment(label)
    return None if found is None else found.astimezone(UTC)


def _json(value: object) -> str | None:
    return json.dumps(value, default=str) if isinstance(value, Mapping) else None
