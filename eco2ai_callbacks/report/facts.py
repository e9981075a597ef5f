"""What the records of a run state of it, beside its usage: project, methods, factors, failures, forecasts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from eco2ai_callbacks.host.gpu_health import GpuHealth, joined, stated
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.report.fields import mapping, number, text, texts
from eco2ai_callbacks.report.stated import Basis, Check, ExpectedTotal, Factor, basis_of, check_of, expected, factor_of

# Of each kind of fact, how many are kept: a log that states a new one in every line must not fill the memory.
_MOST = 200
# Forecasts that are kept; beyond, every second one is left out.
_MOST_FORECASTS = 256
# Methods that read hardware, in records of versions that did not write which these are.
_EARLY_HARDWARE = frozenset({"rapl", "nvml-energy", "nvml-power"})


class Facts:
    """The facts of one run, from records in any order."""

    __slots__ = (
        "_attribution",
        "_bases",
        "_checks",
        "_covers",
        "_description",
        "_devices",
        "_factors",
        "_failures",
        "_forecasts",
        "_hardware",
        "_health",
        "_methods",
        "_metrics",
        "_not_covered",
        "_project",
        "_seen",
        "_shared_with",
        "_siblings",
        "_stated",
        "_step",
        "_unused",
        "_versions",
        "_world_size",
    )

    def __init__(self) -> None:
        self._project = self._description = ""
        self._world_size = 1
        self._methods: dict[str, dict[str, None]] = {}
        self._attribution: dict[str, str] = {}
        self._covers: dict[str, tuple[str, ...]] = {}
        self._hardware: dict[str, None] = {}
        self._devices: dict[str, str] = {}
        self._unused: dict[tuple[str, str], None] = {}
        self._not_covered: dict[str, None] = {}
        self._failures: dict[str, None] = {}
        self._shared_with: dict[str, None] = {}
        self._siblings: dict[str, None] = {}
        self._factors: dict[Factor, None] = {}
        self._versions: dict[str, None] = {}
        self._metrics: dict[str, float] = {}
        self._forecasts: list[ExpectedTotal] = []
        self._bases: list[Basis] = []
        self._checks: list[Check] = []
        self._health: dict[str, GpuHealth] = {}
        self._step = self._seen = 0
        # What the record before stated: nearly all records of a run state the same.
        self._stated: tuple[object, ...] = ()

    def take(self, record: Record) -> None:
        """Take what a record states."""
        if record.event == "forecast":
            self._expect(expected(record))
        elif record.event == "metrics" and record.epoch is None:
            self._note(record)
        if record.model_check is not None and (check := check_of(record.model_check)) is not None:
            self._checks = [*self._checks, check][:_MOST]
        if record.gpu_health:
            self._look(stated(record.gpu_health))
        said = (
            *(record.project, record.description, record.world_size, record.version, record.method, record.failures),
            *(record.not_covered, record.shared_with, record.intensity, record.pue, record.sources),
            record.siblings,
            record.basis,
        )
        if said != self._stated:
            self._stated = said
            self._take(record)

    def _take(self, record: Record) -> None:
        self._project = self._project or text(record.project)
        self._description = self._description or text(record.description)
        self._world_size = max(self._world_size, record.world_size)
        _keep(self._versions, (text(record.version),) if record.version else ())
        for channel, method in mapping(record.method).items():
            held = self._methods.get(channel)
            if held is None:
                if len(self._methods) >= _MOST:
                    continue
                held = self._methods[text(channel)] = {}
                self._attribution[text(channel)] = text(mapping(record.attribution).get(channel))
                self._covers[text(channel)] = texts(mapping(record.covers).get(channel))
            _keep(held, (text(method),))
        for held, names in (
            (self._failures, record.failures),
            (self._not_covered, record.not_covered),
            (self._shared_with, record.shared_with),
            (self._siblings, record.siblings),
        ):
            if names:
                _keep(held, texts(names))
        if record.intensity:
            _keep(self._factors, (factor_of(record),))
        if record.sources:
            self._take_sources(record.sources)
        if record.basis:
            self._bases = _with(self._bases, basis_of(record.basis))

    def _note(self, record: Record) -> None:
        for name, value in mapping(record.metrics).items():
            found = number(value)
            if found is not None and (name in self._metrics or len(self._metrics) < _MOST):
                self._metrics[text(name)] = found

    def _look(self, health: Mapping[str, GpuHealth]) -> None:
        known = {text(uuid): each for uuid, each in health.items() if uuid in self._health or len(self._health) < _MOST}
        self._health = joined(self._health, known)

    def plus(self, other: Facts) -> None:
        """Take what another log states of the run."""
        self._project = self._project or other._project
        self._description = self._description or other._description
        self._world_size = max(self._world_size, other._world_size)
        for name, methods in other._methods.items():
            _keep(self._methods.setdefault(name, {}), methods)
        self._attribution = other._attribution | self._attribution
        self._covers = other._covers | self._covers
        self._devices = other._devices | self._devices
        self._metrics |= other._metrics
        for mine, its in (
            (self._hardware, other._hardware),
            (self._not_covered, other._not_covered),
            (self._failures, other._failures),
            (self._shared_with, other._shared_with),
            (self._siblings, other._siblings),
            (self._versions, other._versions),
        ):
            _keep(mine, its)
        _keep(self._unused, other._unused)
        _keep(self._factors, other._factors)
        for basis in other._bases:
            self._bases = _with(self._bases, basis)
        self._checks = [*self._checks, *other._checks][:_MOST]
        self._look(other._health)
        for forecast in other._forecasts:
            self._expect(forecast)

    def fields(self) -> dict[str, Any]:
        """Return the fields of a run."""
        return {
            "project": self._project,
            "description": self._description,
            "world_size": self._world_size,
            "methods": {channel: tuple(methods) for channel, methods in self._methods.items()},
            "attribution": {channel: phrase for channel, phrase in self._attribution.items() if phrase},
            "covers": dict(self._covers),
            "hardware": frozenset(self._hardware) | _EARLY_HARDWARE,
            "devices": dict(self._devices),
            "unused": tuple(self._unused),
            "not_covered": tuple(self._not_covered),
            "failures": tuple(self._failures),
            "shared_with": tuple(self._shared_with),
            "siblings": tuple(self._siblings),
            "factors": tuple(self._factors),
            "versions": tuple(self._versions),
            "forecasts": tuple(self._forecasts),
            "metrics": dict(self._metrics),
            "bases": tuple(self._bases),
            "checks": tuple(self._checks),
            "gpu_health": dict(self._health),
        }

    def _take_sources(self, sources: Iterable[object]) -> None:
        for source in map(mapping, sources if isinstance(sources, tuple | list) else ()):
            if source.get("used"):
                _keep(self._hardware, texts(source.get("measured")))
                self._take_devices(source.get("devices"))
            elif source.get("status") != "displaced":  # another source takes its place
                _keep(self._unused, ((text(source.get("name")), text(source.get("reason"))),))

    def _take_devices(self, devices: object) -> None:
        for device in map(mapping, devices if isinstance(devices, tuple | list) else ()):
            uuid = text(device.get("uuid"))
            if uuid and (uuid in self._devices or len(self._devices) < _MOST):
                self._devices[uuid] = text(device.get("name"))

    def _expect(self, forecast: ExpectedTotal) -> None:
        self._seen += 1
        if self._seen % (self._step or 1) == 0:
            self._forecasts.append(forecast)
            if len(self._forecasts) > _MOST_FORECASTS:
                self._forecasts = self._forecasts[::2]
                self._step = 2 * (self._step or 1)


def _keep(held: dict[Any, None], stated: Iterable[Any]) -> None:
    for each in stated:
        if each not in held and len(held) < _MOST:
            held[each] = None


def _with(held: list[Basis], basis: Basis) -> list[Basis]:
    return held if basis in held or len(held) >= _MOST else [*held, basis]
