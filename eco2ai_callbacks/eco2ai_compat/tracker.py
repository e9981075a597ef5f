"""eco2AI's Tracker, over that of this package."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

from eco2ai_callbacks.eco2ai_compat.accepted import epoch_number
from eco2ai_callbacks.eco2ai_compat.arguments import BESIDE, LogFile, checked
from eco2ai_callbacks.eco2ai_compat.errors import IncorrectMethodSequenceError
from eco2ai_callbacks.eco2ai_compat.params import save
from eco2ai_callbacks.eco2ai_compat.run import Run
from eco2ai_callbacks.errors import SettingsError, refusal
from eco2ai_callbacks.session.context import Platform


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
        >>> tracker = Tracker(project_name="demo", experiment_description="a CNN")
        >>> tracker.start()
        >>> tracker.stop()
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
        self._run: Run | None = None

    def start(self) -> None:
        """Begin to measure; a run that goes on is ended first.

        Raises:
            IncorrectMethodSequenceError: A training goes on.
        """
        if self._run is not None and self._run.epoch is not None:
            raise IncorrectMethodSequenceError("start was called in a training: call stop_training first.")
        self._begin()

    def stop(self) -> None:
        """End the run or the training, and write its row; a second ``stop`` does nothing.

        Raises:
            IncorrectMethodSequenceError: Nothing was started.
        """
        self._end("stop was called before start or start_training.")

    def start_training(self, start_epoch: int = 1) -> None:
        """Begin to measure a training, which gets a row for each epoch; a run that goes on is ended first.

        Args:
            start_epoch: Number of the first epoch.

        Raises:
            SettingsError: It is no whole number.
        """
        self._begin(epoch_number(start_epoch, "start_epoch"))

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
        if self._run is None or self._run.epoch is None:
            raise IncorrectMethodSequenceError("new_epoch was called outside of a training: call start_training first.")
        if isinstance(parameters_dict, int) and not isinstance(parameters_dict, bool):
            epoch, parameters_dict = parameters_dict, None
        values: Any = parameters_to_save if parameters_dict is None else parameters_dict
        if not (values is None or isinstance(values, Mapping)):
            name = "parameters_to_save" if parameters_dict is None else "parameters_dict"
            raise SettingsError(refusal(f"{name}={values!r:.200}", "values by name, or None", "argument"))
        self._run.end_epoch(self._run.epoch if epoch is None else epoch_number(epoch, "epoch"), values or {})

    def stop_training(self) -> None:
        """End the training; a second call does nothing.

        What was used since the last ``new_epoch`` is in the run log alone.

        Raises:
            IncorrectMethodSequenceError: No training was started.
        """
        if self._run is not None and not self._run.has_epochs:
            raise IncorrectMethodSequenceError("stop_training was called in a run without epochs: call stop.")
        self._end("stop_training was called before start_training.")

    def consumption(self) -> float:
        """Return the energy of the row that is not written yet, in kWh with the overhead; 0 before a start.

        After the end it is that of the whole run or training; not a number where nothing was measured.
        """
        if self._run is None:
            return 0.0
        used = self._run.used.energy_kwh
        return math.nan if used is None else used * float(self._arguments.settings.pue)

    def price(self) -> float:
        """Return the cost of that energy; 0 without a price."""
        return 0.0 if self._run is None else self._run.used.cost or 0.0

    def id(self) -> str | None:
        """Return the id of the latest run or training, by which the CSV and the run log name it; ``None`` before."""
        return None if self._run is None else self._run.tracker.run_id

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

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._run is not None:
            self._run.stop(kind)

    def _begin(self, epoch: int | None = None) -> None:
        if self._run is not None:
            self._run.stop()
        self._run = Run(self._arguments, self._platform, epoch)

    def _end(self, too_early: str) -> None:
        if self._run is not None:
            self._run.stop()
        # An exception that is on its way is the user's, who stops in a `finally`.
        elif sys.exc_info()[1] is None:
            raise IncorrectMethodSequenceError(too_early)
