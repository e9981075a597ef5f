"""What users, loggers, checkpoints and readers of the log rely on: names, defaults and signatures, as a whole."""

from __future__ import annotations

import builtins
import collections.abc
import csv
import importlib.util
import inspect
import io
import json
import re
import types
import typing
from importlib.metadata import EntryPoint, distribution
from pathlib import Path
from typing import Any

import pytest
from golden_run import (
    Told,
    begin,
    bench,
    checkpoint,
    compare,
    defaults,
    epoch_of,
    figures,
    pretty,
    registry_entries,
    schema,
    tracker,
    variables,
)
from logcheck import rows

import eco2ai_callbacks
from eco2ai_callbacks import Tracker, Usage, eco2ai, track
from eco2ai_callbacks.testing import Clock

ADAPTERS = ("lightning", "transformers", "keras", "accelerate")
# A type of the package that is not offered at its root: its name is nobody's concern.
INTERNAL = "<internal>"


class Hint:
    """An annotation that is shown without quotes."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def signature(function: Any) -> str:
    """Parameters, defaults and hints, without the names of types that are internal."""
    known = {*dir(builtins), *dir(typing), *dir(collections.abc), *dir(types), *eco2ai_callbacks.__all__}

    def hint(annotation: Any) -> Any:
        if not isinstance(annotation, str):
            return annotation
        return Hint(re.sub(r"[A-Za-z_]\w*", lambda name: name[0] if name[0] in known else INTERNAL, annotation))

    found = inspect.signature(function)
    parameters = [each.replace(annotation=hint(each.annotation)) for each in found.parameters.values()]
    return str(found.replace(parameters=parameters, return_annotation=hint(found.return_annotation)))


def members(cls: type) -> dict[str, str]:
    """The public members of a class, and those that make it a context manager."""
    found = {}
    for name in dir(cls):
        if name.startswith("_") and name not in ("__init__", "__enter__", "__exit__"):
            continue
        value = inspect.getattr_static(cls, name)
        if isinstance(value, property):
            found[name] = f"property{signature(value.fget)}"
        elif isinstance(value, classmethod):
            found[name] = f"classmethod{signature(value.__func__)}"
        elif callable(value):
            found[name] = signature(value)
        else:
            found[name] = "attribute"
    return found


def scalar_names(level: str) -> dict[str, list[str]]:
    """The scalars that a training on a machine with all components gives, by the call that gives them."""
    at = bench(Clock())
    run = begin(tracker(at.machine, scalars=level, log_file=None, console=False), base="other")
    told = Told()
    for epoch in range(2):
        epoch_of(run, at.clock, told, epoch, planned=5)
    run.enter("train", 2)
    at.clock.advance(1.0)
    run.enter("validate")
    at.clock.advance(1.0)
    run.leave()
    at.clock.advance(1.0)
    report = run.end_epoch(2, samples=1, tokens=1, planned=5)
    at.clock.advance(1.0)
    test = run.mark("stage", stage="test")
    found = {
        "scalars": figures(report),
        "forecast": next(each["returned"] for each in reversed(told.calls) if each["call"].startswith("forecast")),
        "stage_scalars": run.figures.stage(test),
        "stage_scalars, stage='test'": run.figures.stage(test, "test"),
        "stage_scalars, prefix='eval_'": run.figures.stage(test, prefix="eval_"),
        "stage_scalars, stage='test', prefix='eval_'": run.figures.stage(test, "test", "eval_"),
    }
    run.stop()
    return {call: sorted(values) for call, values in found.items()}


def left_behind() -> dict[str, Any]:
    """The names inside of what a run writes: log, CSV, registry and checkpoint."""
    at = bench(Clock())
    run = begin(tracker(at.machine, csv_file="eco2ai.csv", console=False))
    at.clock.advance(1.0)
    run.mark()
    entry = registry_entries()[0]
    saved = checkpoint(run)
    card = run.model_card("fine-tuning") or {}
    run.stop()
    start, epoch, stop = rows()
    return {
        "record_fields": list(start),
        "record_sources": list(start["sources"][0]),
        "record_intensity": sorted(start["intensity"]),
        "record_epoch_total": sorted(epoch["epoch_total"]),
        "record_total": sorted(stop["total"]),
        "csv_columns": next(csv.reader(io.StringIO(Path("eco2ai.csv").read_text()))),
        "registry_entry": sorted(entry),
        "resume": sorted(saved),
        "card_field": sorted(card),
        "tracker_attributes": sorted(name for name in vars(run) if not name.startswith("_")),
    }


def entry_points() -> list[EntryPoint]:
    return list(distribution("eco2ai-callbacks").entry_points)


def commands() -> dict[str, list[str]]:
    """The options and arguments of each command of ``eco2ai``."""
    main = next(point for point in entry_points() if point.group == "console_scripts").load()
    found = {}
    for name, command in main.commands.items():
        found[name] = sorted(option for each in command.params for option in (*each.opts, *each.secondary_opts))
    return found


def _offered(value: Any) -> Any:
    """The signature of a function, the members of a class, the bases of an exception."""
    if not isinstance(value, type):
        return signature(value)
    return [base.__name__ for base in value.__mro__[1:-1]] if issubclass(value, Exception) else members(value)


def surface() -> dict[str, Any]:
    written = schema()
    return {
        "adapters": [name for name in ADAPTERS if importlib.util.find_spec(f"eco2ai_callbacks.{name}")],
        "commands": commands(),
        "eco2ai": {name: _offered(getattr(eco2ai, name)) for name in eco2ai.__all__},
        "entry_points": sorted(f"{point.group}: {point.name}" for point in entry_points()),
        "root": sorted(eco2ai_callbacks.__all__),
        "scalars": {level: scalar_names(level) for level in ("basic", "all")},
        "schema": {
            "keys": sorted(written),
            "properties": list(written["properties"]),
            "required": list(written["required"]),
        },
        "settings": {name: value if _is_json(value) else str(value) for name, value in defaults().items()},
        "track": signature(track),
        "tracker": members(Tracker),
        "usage": members(Usage),
        "variables": variables(),
        "written": left_behind(),
    }


def _is_json(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def test_the_public_surface_is_what_it_was() -> None:
    compare("public_api.json", pretty(json.loads(json.dumps(surface(), sort_keys=True))))


def test_the_entry_points_lead_somewhere() -> None:
    for point in entry_points():
        assert callable(point.load()), point


def test_every_setting_has_its_variable_that_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in defaults():
        variable = f"ECO2AI_{name.upper()}"
        assert variable in variables()
        with monkeypatch.context() as environment:
            environment.setenv(variable, "Atlantis")
            try:
                found = Tracker().settings.origin[name]
            except ValueError as error:  # what is no text does not take every text
                found = variable if f"{name}='Atlantis'" in str(error) else str(error)
            assert found == variable


def test_the_schema_names_the_fields_of_a_record_in_their_order() -> None:
    fields = left_behind()["record_fields"]
    assert list(schema()["properties"]) == [*fields, "anchor"]
    assert schema()["required"] == ["schema", "run", "writer", "seq", "event"]
