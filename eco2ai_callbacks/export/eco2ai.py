"""Runs as a CSV with eco2AI's 13 columns: a row an epoch, and one for the rest of each session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from eco2ai_callbacks.export.forms import nothing
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.counted import CountedRecord, CountedRecords
from eco2ai_callbacks.report.fields import mapping, text
from eco2ai_callbacks.report.formats import no_formula
from eco2ai_callbacks.report.load import Progress
from eco2ai_callbacks.report.runs import Runs
from eco2ai_callbacks.report.select import Selection
from eco2ai_callbacks.sinks.csv_cells import NONE, epoch_cell, gpu_cell, place_cell
from eco2ai_callbacks.sinks.csv_form import COLUMNS, Form
from eco2ai_callbacks.sinks.csv_sums import Sums

OPTIONS: dict[str, str] = {}


def write(logs: Selection, options: Mapping[str, str], file: Path, progress: Progress | None = None) -> Runs:
    """Write the rows of logs; they add up to what was used, and their kWh include the data centre's overhead.

    Args:
        logs: The logs.
        options: None.
        file: The file.
        progress: Called with the bytes that were read.

    Returns:
        The runs.

    Raises:
        NotExported: There is no record.
        OSError: A log cannot be read, or the file cannot be written.
    """
    del options
    found = CountedRecords(logs, progress)
    if not found.runs.runs:
        raise nothing(logs)
    form = Form()
    with file.open("wb") as stream:
        stream.write(form.header())
        for row in _rows(found):
            stream.write(form.row(row))
    return found.runs


def _rows(found: Iterable[CountedRecord]) -> Iterator[Mapping[str, object]]:
    sessions: dict[tuple[str, str], _Session] = {}
    for each in found:
        key = each.record.run, each.record.writer
        session = sessions.get(key)
        if session is None:
            session = sessions[key] = _Session()
        row = session.take(each)
        if row is not None:
            yield row
    for session in sessions.values():
        rest = session.rest()
        if rest is not None:
            yield rest


class _Session:
    """The sums of one session that no row holds yet."""

    def __init__(self) -> None:
        self._gpu = gpu_cell(())
        self._epoch = Sums()
        self._rest = Sums()
        # The last record that counts: its facts are those of the last row.
        self._last: Record | None = None

    def take(self, each: CountedRecord) -> Mapping[str, object] | None:
        """Add a record; return the row of an epoch that it ends."""
        record, usage = each.record, each.usage
        if record.event == "start":
            self._gpu = _gpu(record)
        if not each.counts:
            return None
        energy = None if usage.energy_kwh is None else usage.energy_kwh * record.pue
        sums = Sums(record.start, usage.seconds, energy, usage.co2_kg, usage.cost)
        if record.event == "epoch" or (record.adds and record.stage == "train" and record.event != "stop"):
            self._epoch += sums
        else:
            self._rest += sums
        self._last = record
        if record.event != "epoch":
            return None
        row = self._row(record, epoch_cell(record.epoch, mapping(record.metrics) or None), self._epoch)
        self._epoch = Sums()
        return row

    def rest(self) -> Mapping[str, object] | None:
        """Return the row of what no epoch's row holds; ``None`` where that is nothing."""
        left = self._epoch + self._rest
        return None if self._last is None or left == Sums() else self._row(self._last, NONE, left)

    def _row(self, record: Record, epoch: str, sums: Sums) -> Mapping[str, object]:
        texts = record.run, record.project, record.description, epoch, sums.start.replace("T", " ")[:19]
        place = place_cell(mapping(record.intensity))
        values = (
            *map(_cell, texts),
            sums.seconds,
            NONE if sums.energy_kwh is None else sums.energy_kwh,
            NONE if sums.co2_kg is None else sums.co2_kg,
            NONE,
            self._gpu if self._gpu == gpu_cell(()) else _cell(self._gpu),
            NONE,
            _cell(place),
            # As eco2AI writes it without a price.
            sums.cost or 0.0,
        )
        return dict(zip(COLUMNS, values, strict=True))


def _cell(value: object) -> str:
    return no_formula(text(value))


def _gpu(start: Record) -> str:
    """Return the devices that a ``start`` record names; what is none of its form is left out."""
    sources = []
    for source in map(mapping, start.sources if isinstance(start.sources, tuple | list) else ()):
        listed = source.get("devices")
        devices = [mapping(each) for each in (listed if isinstance(listed, tuple | list) else ())]
        known = [{"index": text(str(d.get("index"))), "name": text(d.get("name"))} for d in devices if d.get("name")]
        sources.append({"used": source.get("used") is True, "devices": known})
    return gpu_cell(sources)
