"""The parameters that eco2AI keeps from one tracker to the next, in a file of the user's."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eco2ai_callbacks.eco2ai_compat.accepted import check
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.guard import logger
from eco2ai_callbacks.settings.files import home_folder, trusted_text

# eco2ai 0.3.12's parameters where nothing was saved, and what `set_params` takes for those that it is not given.
UNSAVED: Mapping[str, Any] = {
    "project_name": "Default project name",
    "experiment_description": "no experiment description",
    "file_name": "emission.csv",
    "measure_period": 10,
    "pue": 1,
}
UNGIVEN: Mapping[str, Any] = {
    **UNSAVED,
    "project_name": "default project name",
    "experiment_description": "default experiment description",
}


def folder() -> Path | None:
    """Return the user's folder of this package; ``None`` where the user has no home."""
    home = home_folder()
    return None if home is None else home / ".config/eco2ai"


def get_params() -> dict[str, Any]:
    """Return the parameters that a tracker takes where it is given none.

    They are those of the latest tracker, or of :func:`set_params`.

    Example:
        >>> sorted(get_params())
        ['experiment_description', 'file_name', 'measure_period', 'project_name', 'pue']
    """
    place = folder()
    path = None if place is None else place / "params.json"
    text = None if path is None else trusted_text(path, bool)
    if text is None:
        return dict(UNSAVED)
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise SettingsError("it holds no JSON object")
        return {name: check(name, found.get(name, value), str(path)) for name, value in UNSAVED.items()}
    except (ValueError, RecursionError) as error:
        with contextlib.suppress(Exception):  # a log handler of the user's
            logger.warning("no parameters are read from %s: %s", path, error)
        return dict(UNSAVED)


def set_params(**params: Any) -> None:
    """Save the parameters that later trackers take where they are given none, in ``~/.config/eco2ai/params.json``.

    Args:
        params: ``project_name``, ``experiment_description``, ``file_name``, ``measure_period`` and ``pue``; one that
            is missing gets eco2AI's default. Others are ignored, and that is logged.

    Raises:
        SettingsError: A value is not accepted.

    Example:
        >>> set_params(project_name="My project", file_name="my_emissions.csv")
    """
    given = {name: value for name, value in params.items() if value is not None}
    others = sorted(params.keys() - UNGIVEN.keys())
    values = {name: check(name, given.get(name, default)) for name, default in UNGIVEN.items()}
    with contextlib.suppress(Exception):  # a log handler of the user's
        if others:
            logger.warning("set_params ignores %s; it saves %s", ", ".join(others), ", ".join(UNGIVEN))
    save(values)


def save(values: Mapping[str, Any]) -> None:
    """Save parameters as a whole, in one step; a failure is logged, and the training goes on.

    Args:
        values: The parameters by name.
    """
    place = folder()
    if place is None or get_params() == values:
        return
    path, new = place / "params.json", place / f".params-{os.urandom(8).hex()}"
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            new.write_text(json.dumps(values), encoding="utf-8")
            new.chmod(0o600)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        with contextlib.suppress(Exception):  # a log handler of the user's
            logger.warning("the parameters are not saved for later trackers: %s", error)
