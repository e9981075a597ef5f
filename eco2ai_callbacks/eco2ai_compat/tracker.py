"""eco2AI's Tracker and track, over those of this package."""

from __future__ import annotations

import inspect
import math
import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import tzinfo
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from eco2ai_callbacks import tracker
from eco2ai_callbacks.eco2ai_compat.arguments import BESIDE, LogFile, checked
from eco2ai_callbacks.eco2ai_compat.errors import IncorrectMethodSequenceError
from eco2ai_callbacks.eco2ai_compat.params import save
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.session.context import Platform, RunContext
from eco2ai_callbacks.session.wrapping import around_each_call
from eco2ai_callbacks.usage import Usage

P = ParamSpec("P")
R = TypeVar("R")


class Tracker:
    """eco2AI's tracker, which writes eco2AI's CSV, with this package's meters and its run log.

    What is ``None`` is taken from the latest tracker, or from ``set_params``. A context manager, too.

    Args:
        project_name: Name of the project.
        experiment_description: Description of the experiment.
        file_name: The CSV, whose name ends in ``.csv``; rows are appended.
        measure_period: Longest time whose figures a SIGKILL can cost the run log, in seconds.
        emission_level: Your own carbon intensity, in kilograms of CO2 per megawatt-hour.
        alpha_2_code: The country, as an ISO 3166-1 code of two letters; found without network where it is not given.
        region: A part of that country.
        cpu_processes: ``current``: this process and all that it starts; ``all``: the whole machine.
        pue: Overhead of the data centre.
        encode_file: Name of an encrypted copy of the rows; ``True`` for ``encoded_`` before the name of the CSV.
        electricity_pricing: Prices per kilowatt-hour by spans that cover the day once.
        ignore_warnings: Whether no warning is logged about the place.
        timezone: Name of a time zone. It is checked, and needed for nothing: there is no scheduler.
        log_file: The run log; by default beside the CSV (``emission.jsonl``), unless the setting of this name is set
            elsewhere. ``None`` for none.
        platform: The outside world; tests pass a fake.

    Raises:
        SettingsError: An argument is not accepted.

    Example:
        >>> tracker = Tracker(project_name="demo", experiment_description="a CNN")  # doctest: +SKIP
        >>> tracker.start()  # doctest: +SKIP
        >>> tracker.stop()  # doctest: +SKIP
    """

    def __init__(
        self,
        project_name: str | None = None,
        experiment_description: str | None = None,
        file_name: str | None = None,
        measure_period: float | None = 10,
        emission_level: float | None = None,
        alpha_2_code: str | None = None,
        region: str | None = None,
        cpu_processes: str = "current",
        pue: float | None = 1,
        encode_file: str | bool | None = None,
        electricity_pricing: Mapping[str, float] | None = None,
        ignore_warnings: bool = False,
        timezone: str | tzinfo | bool | None = False,
        *,
        log_file: LogFile = BESIDE,
        platform: Platform | None = None,
    ) -> None:
        self._platform = platform or Platform()
        self._arguments = checked(
            {
                "project_name": project_name,
                "experiment_description": experiment_description,
                "file_name": file_name,
                "measure_period": measure_period,
                "emission_level": emission_level,
                "alpha_2_code": alpha_2_code,
                "region": region,
                "cpu_processes": cpu_processes,
                "pue": pue,
                "encode_file": encode_file,
                "electricity_pricing": electricity_pricing,
                "ignore_warnings": ignore_warnings,
                "timezone": timezone,
            },
            log_file,
        )
        save(self._arguments.saved)
        self.project_name: str = self._arguments.saved["project_name"]
        self.experiment_description: str = self._arguments.saved["experiment_description"]
        self.file_name: str = self._arguments.saved["file_name"]
        self._emission_level = self._arguments.emission_level(self._platform)
        self._run: tracker.Tracker | None = None
        # The number of the epoch that goes on; None outside of a training.
        self._epoch: int | None = None
        self._in_training = False

    def start(self) -> None:
        """Begin to measure; a run that goes on is ended first.

        Raises:
            IncorrectMethodSequenceError: A training goes on.
        """
        if self._epoch is not None:
            raise IncorrectMethodSequenceError("start was called in a training: end it by stop_training first.")
        self._begin(training=False)

    def stop(self) -> None:
        """End the run or the training, and write its row; a second ``stop`` does nothing.

        Raises:
            IncorrectMethodSequenceError: Nothing was started.
        """
        self._end("stop", "start or start_training")

    def start_training(self, start_epoch: int = 1) -> None:
        """Begin to measure a training, which gets a row for each epoch; a run that goes on is ended first.

        Args:
            start_epoch: Number of the first epoch.

        Raises:
            SettingsError: It is no whole number.
        """
        epoch = _epoch(start_epoch, "start_epoch")
        self._begin(training=True)
        self._epoch = epoch

    def new_epoch(
        self,
        parameters_dict: Mapping[Any, Any] | int | None = None,
        parameters_to_save: Mapping[Any, Any] | None = None,
        *,
        epoch: int | None = None,
    ) -> None:
        """Write the row of the epoch that has ended, and begin the next one.

        Args:
            parameters_dict: Values to save with the epoch; a whole number here is the number of the epoch.
            parameters_to_save: Values to save with the epoch, where the number comes first.
            epoch: Number of the epoch; by default the one after the last.

        Raises:
            IncorrectMethodSequenceError: No training goes on.
            SettingsError: An argument is not accepted.
        """
        if self._epoch is None or self._run is None:
            raise IncorrectMethodSequenceError(
                "new_epoch was called outside of a training: begin it by start_training."
            )
        values = parameters_to_save
        if isinstance(parameters_dict, Mapping):
            values = parameters_dict
        elif parameters_dict is not None:
            epoch = _epoch(parameters_dict, "epoch")
        if not (values is None or isinstance(values, Mapping)):
            raise SettingsError(
                f"parameters_to_save={values!r:.200} (from argument) is not accepted: values by name, or None."
            )
        number = self._epoch if epoch is None else _epoch(epoch, "epoch")
        self._run.mark("epoch", epoch=number, metrics={str(name): value for name, value in (values or {}).items()})
        self._epoch = number + 1

    def stop_training(self) -> None:
        """End the training; a second call does nothing.

        What was used since the last ``new_epoch`` is in the run log alone.

        Raises:
            IncorrectMethodSequenceError: No training was started.
        """
        if not self._in_training and self._run is not None:
            raise IncorrectMethodSequenceError("stop_training was called in a run without epochs: end it by stop.")
        self._end("stop_training", "start_training")

    def consumption(self) -> float:
        """Return the energy of the row that is not written yet, in kWh with the overhead; 0 before a start.

        After the end it is that of the whole run or training; not a number where nothing was measured.
        """
        used = self._used()
        if used is None:
            return 0.0
        return math.nan if used.energy_kwh is None else used.energy_kwh * float(self._arguments.settings.pue)

    def price(self) -> float:
        """Return the cost of that energy; 0 without a price."""
        used = self._used()
        return 0.0 if used is None else used.cost or 0.0

    def id(self) -> str | None:
        """Return the id of the latest run or training, by which the CSV and the run log name it; ``None`` before."""
        return None if self._run is None else self._run.run_id

    def emission_level(self) -> float:
        """Return the carbon intensity in kilograms of CO2 per megawatt-hour."""
        return self._emission_level

    def measure_period(self) -> float:
        """Return the parameter of this name."""
        found: float = self._arguments.saved["measure_period"]
        return found

    def __enter__(self) -> Tracker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._run is not None:
            self._run.__exit__(kind, error, trace)

    def _begin(self, *, training: bool) -> None:
        if self._run is not None:
            self._run.stop()
        platform = replace(self._platform, sinks=self._arguments.sinks(training=training))
        self._run = tracker.Tracker(self._arguments.settings, platform=platform)
        self._in_training, self._epoch = training, None
        self._run.start(RunContext(quiet=self._arguments.ignore_warnings))

    def _end(self, call: str, first: str) -> None:
        self._epoch = None
        if self._run is not None:
            self._run.stop()
        # An exception that is on its way is the user's, who stops in a `finally`.
        elif sys.exc_info()[1] is None:
            raise IncorrectMethodSequenceError(f"{call} was called before {first}.")

    def _used(self) -> Usage | None:
        """Return the usage that no row holds yet; after the end that of the whole run; ``None`` before a start."""
        run = self._run
        if run is None or not run.running:
            return None if run is None else run.total
        return run.read() if self._in_training else run.total + run.read()


@overload
def track(func: Callable[P, R]) -> Callable[P, R]: ...
@overload
def track(**arguments: Any) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def track(func: Callable[..., Any] | None = None, **arguments: Any) -> Any:
    """Measure a function at each call, with a tracker of its own; a coroutine or a generator from its begin to its end.

    Args:
        func: The function, where this is a bare decorator.
        arguments: Arguments of :class:`Tracker`.

    Raises:
        SettingsError: An argument is not accepted.

    Example:
        >>> @track  # doctest: +SKIP
        ... def train(): ...
        >>> @track(project_name="demo", alpha_2_code="FR")  # doctest: +SKIP
        ... def evaluate(): ...
    """
    if not (func is None or callable(func)):
        raise SettingsError(f"track takes a function, or arguments by name; it was given {func!r:.200}.")
    if arguments:
        _check(arguments)

    def measured(function: Callable[..., Any]) -> Callable[..., Any]:
        return around_each_call(function, lambda: Tracker(**arguments))

    return measured if func is None else measured(func)


def _check(arguments: Mapping[str, Any]) -> None:
    """Check a tracker's arguments where a function is decorated, long before it is called.

    Raises:
        SettingsError: One is not accepted.
        TypeError: There is none of a name.
    """
    bound = inspect.signature(Tracker).bind(**arguments)
    bound.apply_defaults()
    values = dict(bound.arguments)
    values.pop("platform")
    checked(values, values.pop("log_file"))


def _epoch(value: Any, name: str) -> int:
    """Return the number of an epoch; NumPy's are accepted too."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise SettingsError(f"{name}={value!r:.200} (from argument) is not accepted: a whole number.") from None
