"""Import NVIDIA's binding ``pynvml``, and find the package that it comes from.

Several packages install a module of this name; NVIDIA's own is ``nvidia-ml-py``.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu.nvml_library import MODULE

if TYPE_CHECKING:
    from importlib import metadata

PACKAGE = "nvidia-ml-py"
# Without these no board can be listed; what else a binding lacks is a matter of each answer.
_REQUIRED = ("NVMLError", "nvmlInit", "nvmlShutdown", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex")
# What the import of a module that was made for another Python or another machine ends with.
_IMPORT_ERRORS = (ImportError, SyntaxError, OSError, NameError, AttributeError, TypeError, ValueError, RuntimeError)
# By this attribute the import hook of the package `pynvml` 13 remembers that it has printed its notice of deprecation.
_NOTICE = "has_warned_pynvml"


def load() -> Any:
    """Import the binding and return it.

    Raises:
        MeterUnavailable: Where it is not installed, cannot be imported, or is something else of the same name.
    """
    with _without_notice():
        try:
            module = importlib.import_module(MODULE)
        except _IMPORT_ERRORS as error:
            if isinstance(error, ModuleNotFoundError) and error.name == MODULE:
                raise MeterUnavailable(f"the package {PACKAGE} is not installed", f"pip install {PACKAGE}") from None
            why = f"the module {MODULE} cannot be imported: {error} ({type(error).__name__})"
            raise MeterUnavailable(why, command()) from None
    missing = next((name for name in _REQUIRED if not hasattr(module, name)), None)
    if missing is not None:
        raise MeterUnavailable(f"the module {MODULE} is not NVIDIA's binding: it has no {missing}", command())
    return module


def complaint() -> str | None:
    """Return what is wrong with the installed binding, as one clause; ``None`` where it is NVIDIA's own, or missing."""
    path = _path()
    if path is None:
        return None
    owner = _owner(path)
    if owner is None:
        return f"the module {MODULE} is not NVIDIA's binding but the file {path}, which no package has installed"
    if _normalised(owner) == PACKAGE:
        return None
    return f"the module {MODULE} is not that of {PACKAGE}: it comes from the package {owner.name} {owner.version}"


def command() -> str:
    """Return what the user can do to have NVIDIA's own binding."""
    path = _path()
    owner = None if path is None else _owner(path)
    if owner is not None and _normalised(owner) != PACKAGE:
        # Both packages may have written the same file, which the first command then removes.
        return f"pip uninstall -y {owner.name} && pip install --force-reinstall --no-deps {PACKAGE}"
    if path is not None and owner is None:
        return f"rename {path}, and pip install {PACKAGE}"
    return f"pip install --force-reinstall --no-deps {PACKAGE}"


@contextlib.contextmanager
def _without_notice() -> Iterator[None]:
    """Keep the import hook of the package ``pynvml`` from printing its notice at this import.

    The notice is for whoever installed that package. The filters of warnings are the program's, and shared by all of
    its threads: they remain as they are.
    """
    hooks = [hook for hook in sys.meta_path if getattr(hook, _NOTICE, None) is False]
    for hook in hooks:
        setattr(hook, _NOTICE, True)
    try:
        yield
    finally:
        for hook in hooks:
            setattr(hook, _NOTICE, False)


def _path() -> Path | None:
    """Return the file of the module, imported or not; ``None`` where it has none."""
    if MODULE in sys.modules:
        origin = getattr(sys.modules[MODULE], "__file__", None)
    else:
        from importlib import util

        with _without_notice():
            spec = util.find_spec(MODULE)
        origin = None if spec is None else spec.origin
    return Path(origin).resolve() if isinstance(origin, str) else None


def _owner(path: Path) -> metadata.Distribution | None:
    """Return the installed package that a module's file comes from.

    Where two packages have written the same file, the later one's content is there.
    """
    from importlib import metadata  # takes longer than all meters do, and only complaints need it

    owners: list[metadata.Distribution] = []
    for name in dict.fromkeys(metadata.packages_distributions().get(MODULE, ())):
        package = metadata.distribution(name)
        for file in package.files or ():
            if Path(str(package.locate_file(file))).resolve() == path:
                if file.hash is not None and file.hash.value == _sha256(path):
                    return package
                owners.append(package)
    return owners[0] if owners else None


def _sha256(path: Path) -> str:
    """Return a file's hash as the list of an installed package spells it (PEP 376, PEP 427)."""
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()


def _normalised(package: metadata.Distribution) -> str:
    """Return a package's name in the form in which names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package.name).lower()
