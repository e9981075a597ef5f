"""The installed version of this package."""

from __future__ import annotations

import os
import sys
from functools import cache

_NAME = "eco2ai-callbacks"


@cache
def package_version() -> str:
    """Return the installed version of this package; ``unknown`` where it was never installed."""
    return _named_by_folder() or _from_metadata()


def _named_by_folder() -> str | None:
    """Return the version in the name of the package's ``.dist-info`` folder; ``None`` where there is no such folder.

    The name is normative (PyPA, Recording installed projects): it is found without ``importlib.metadata``, whose import
    and whose parsing of the package's description take more time than opening all meters.
    """
    begin, end = f"{_NAME.replace('-', '_')}-", ".dist-info"
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - names are enough
        except OSError:  # a zip file, or not there
            continue
        for name in names:
            if name.startswith(begin) and name.endswith(end):
                return name.removeprefix(begin).removesuffix(end)
    return None


def _from_metadata() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(_NAME)
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"
