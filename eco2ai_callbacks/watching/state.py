"""Runs by their latest records: each record holds what its rank has used so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from eco2ai_callbacks.parallel import sum_parallel
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.fields import band, mapping, moment, number, text, texts
from eco2ai_callbacks.report.stated import ExpectedTotal, expected
from eco2ai_callbacks.report.sums import Band
from eco2ai_callbacks.runlog.ends import usage_of
from eco2ai_callbacks.runlog.parse import as_written, parsed
from eco2ai_callbacks.runlog.restore import Restorer
from eco2ai_callbacks.runlog.validate import is_checked, is_record, unknown_schema
from eco2ai_callbacks.usage import Usage

# Runs of a log that are kept, the latest ones.
MOST_RUNS = 64
# Seconds over which power is taken: marks may follow each other within milliseconds.
_SHORTEST_S = 0.5
# Seconds after which a run without an end no longer stands before a later one.
_FORGOTTEN_S = 600.0
_METRICS = 8


@dataclass(slots=True)
class RankState:
    """What the records of one rank state.

    Args:
        writer: The session that wrote the last one.
        usage: What the rank has used so far.
        energy_band_kwh: The band of its energy.
        power_w: Its mean power since the record before; ``None`` where it is not known.
        until: When its last record's segment ended, in seconds since 1970; ``None`` where its label is none.
        ended: How its session ended; ``None`` while it has no ``stop``.
    """

    writer: str = ""
    usage: Usage = field(default_factory=Usage)
    energy_band_kwh: Band | None = None
    power_w: float | None = None
    until: float | None = None
    ended: str | None = None
    # Seconds and joules from which on power is taken.
    _since: tuple[float, float] | None = None

    def take(self, record: Record) -> None:
        """Take the rank's next record."""
        if record.writer != self.writer:
            self.writer, self._since = record.writer, None
        self.ended = (text(record.ended) or "finished") if record.event == "stop" else None
        label = moment(record.start)
        if label is not None:
            self.until = label.timestamp() + record.seconds
        total = mapping(record.total)
        if total and record.event not in ("forecast", "metrics"):
            self.usage = usage_of(total)
            self.energy_band_kwh = band(total.get("energy_band_kwh"))
            self._take_power(record)

    def _take_power(self, record: Record) -> None:
        seconds, joules = self.usage.seconds, self.usage.total_j
        if joules is None:
            return
        if self._since is None:
            self._since = seconds - record.seconds, joules - sum(record.joules.values())
        span = seconds - self._since[0]
        if span >= _SHORTEST_S:
            self.power_w = max(0.0, joules - self._since[1]) / span
            self._since = seconds, joules


@dataclass(slots=True)
class RunState:
    """What the records of one run state.

    Args:
        id: Its id.
        ranks: Its ranks.
        epoch: The latest epoch.
        stage: The stage of the latest record.
        metrics: The last metrics.
        forecast: The last forecast.
    """

    id: str
    project: str = ""
    description: str = ""
    parent: str | None = None
    host: str = ""
    world_size: int = 1
    ranks: dict[int, RankState] = field(default_factory=dict)
    epoch: int | None = None
    stage: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    forecast: ExpectedTotal | None = None
    methods: tuple[str, ...] = ()
    shared_with: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    def take(self, record: Record) -> None:
        """Take the run's next record."""
        self.ranks.setdefault(record.rank, RankState()).take(record)
        self.project = text(record.project) or self.project
        self.description = text(record.description) or self.description
        self.parent, self.host = record.parent, text(record.host) or self.host
        self.world_size = max(self.world_size, record.world_size)
        self.methods = tuple(dict.fromkeys((*self.methods, *texts(tuple(mapping(record.method).values())))))[:20]
        self.shared_with, self.failures = texts(record.shared_with), texts(record.failures)
        if record.epoch is not None:
            self.epoch, self.stage = record.epoch, text(record.stage)
        if record.event == "forecast":
            self.forecast = expected(record)
        elif record.metrics:
            found = {
                text(name): value
                for name, each in mapping(record.metrics).items()
                if (value := number(each)) is not None
            }
            self.metrics = dict(list(found.items())[:_METRICS]) or self.metrics

    @property
    def usage(self) -> Usage:
        """What all ranks have used so far."""
        return sum_parallel(self.ranks[rank].usage for rank in sorted(self.ranks))

    @property
    def energy_band_kwh(self) -> Band | None:
        """The band of the energy: that of ranks adds up, as their methods are the same."""
        bands = [rank.energy_band_kwh for rank in self.ranks.values()]
        known = [each for each in bands if each is not None]
        return (sum(low for low, _ in known), sum(high for _, high in known)) if len(known) == len(bands) else None

    @property
    def power_w(self) -> float | None:
        """The mean power of all ranks that have not ended; ``None`` where it is not known."""
        found = [rank.power_w for rank in self.ranks.values() if rank.ended is None and rank.power_w is not None]
        return sum(found) if found else None

    @property
    def until(self) -> float | None:
        """When the last record's segment ended, in seconds since 1970."""
        return max((rank.until for rank in self.ranks.values() if rank.until is not None), default=None)

    @property
    def ended(self) -> str | None:
        """How it ended; ``None`` while a rank has no end."""
        ways = [rank.ended for rank in self.ranks.values()]
        if not ways or None in ways or len(ways) < self.world_size:
            return None
        return " and ".join(dict.fromkeys(way for way in ways if way is not None))


class LogState:
    """The latest runs of a log, as its lines are written."""

    def __init__(self) -> None:
        self.runs: dict[str, RunState] = {}
        # The schema of the last line that a later version has written; such lines are passed over.
        self.unknown_schema: int | None = None
        self._restorer = Restorer()

    def take(self, lines: Iterable[bytes]) -> None:
        """Take the next lines; torn and foreign ones are passed over."""
        for line in lines:
            said = line.decode("utf-8", "replace")
            values = as_written(said)
            if not (is_record(values) and (is_checked(values) or is_record(values := parsed(said)))):
                self.unknown_schema = unknown_schema(values) or self.unknown_schema
                continue
            record = self._restorer.record(values)
            run = self.runs.pop(record.run, None) or RunState(record.run)
            # The run with the latest record is the last one.
            self.runs[record.run] = run
            run.take(record)
            if len(self.runs) > MOST_RUNS:
                del self.runs[next(iter(self.runs))]

    def chosen(self, begin: str | None = None, now: float = 0.0) -> RunState | None:
        """Return the run to show: one that is being trained, not inside another one, with the latest record.

        Args:
            begin: The id of a run, or its beginning.
            now: Seconds since 1970; a run whose last record is much older is taken for killed.
        """
        found = [run for run in self.runs.values() if begin is None or run.id.startswith(begin)]

        def rank(place: int) -> tuple[bool, bool, int]:
            run = found[place]
            active = run.ended is None and (run.until is None or now - run.until < _FORGOTTEN_S)
            return active, run.parent not in self.runs, place

        return found[max(range(len(found)), key=rank)] if found else None
