"""Where a job of Ray keeps its results: its workers run in folders that Ray removes, and that nobody looks into."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# What tells where a worker's results go (Ray 2.60): `ray.train` in a training function, `ray.tune` in a trial.
_CONTEXTS = ("ray.train", "ray.tune")
# What the folder is called there: that of a trial, or that of the only run of a job.
_FOLDERS = ("trial_fs_path", "experiment_fs_path")


def results_folder(modules: Mapping[str, Any] = sys.modules) -> Path | None:
    """Return the folder in which Ray keeps the results of the trial or training that this process works on.

    ``None`` outside of one, and where the results go to another file system than this machine's.

    Args:
        modules: The modules that were imported: without Ray nothing is asked.
    """
    for name in _CONTEXTS:
        module = modules.get(name)
        if module is None:
            continue
        with contextlib.suppress(Exception):  # outside of a training or a trial, in words that differ by version
            storage = module.get_context().get_storage()
            if storage.storage_filesystem.type_name == "local":
                return Path(next(found for each in _FOLDERS if (found := getattr(storage, each, None))))
    return None
