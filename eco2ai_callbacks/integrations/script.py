"""A runner of unchanged scripts with our callback in their trainings: ``python -m eco2ai_callbacks.keras train.py``."""

from __future__ import annotations

import builtins
import importlib
import importlib.machinery
import io
import os
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

_USAGE = """\
usage: python -m eco2ai_callbacks.{name} SCRIPT [ARGUMENTS ...]
       python -m eco2ai_callbacks.{name} -m MODULE [ARGUMENTS ...]

Runs a Python script or module as `python` itself would, {what}.
Settings come from the ECO2AI_* variables, pyproject.toml and the site file.
"""


def launch(framework: str, arguments: Sequence[str] | None = None) -> None:
    """Prepare the framework, then run the script as ``__main__``; its exit code and exceptions are this process's.

    Args:
        framework: ``lightning``, ``transformers`` or ``keras``.
        arguments: The script and its arguments; those of the command line by default.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    prepare, what = _FRAMEWORKS[framework]
    usage = _USAGE.format(name=framework, what=what)
    as_module = given[:1] == ["-m"]
    if given[:1] in (["-h"], ["--help"]):
        print(usage, end="")
        return
    if not given[as_module:] or given[0].startswith("-") is not as_module:
        sys.stderr.write(usage)
        sys.exit(2)
    prepare()
    if as_module:
        sys.argv[:] = given[1:]
        runpy.run_module(given[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = given
        _run_script(given[0])


def _run_script(name: str) -> None:
    """Run the script as this process's ``__main__``, which stays so: pickles too look up its definitions there."""
    path = str(Path(name).absolute())
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        sys.stderr.write(f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n")
        sys.exit(2)
    if not sys.flags.safe_path:
        # `python -m` has put the working folder where `python SCRIPT` puts the script's folder.
        sys.path[0] = os.path.dirname(os.path.realpath(path))  # noqa: PTH120 - as text
    module = ModuleType("__main__")
    # Without a spec, spawned processes load the main module from its file, as for any script.
    module.__dict__.update(
        __file__=path,
        __spec__=None,
        __loader__=importlib.machinery.SourceFileLoader("__main__", path),
        __builtins__=builtins,
        __cached__=None,
    )
    code = compile(source, path, "exec", dont_inherit=True)
    sys.modules["__main__"] = module
    exec(code, module.__dict__)


def _adapter(framework: str) -> Any:
    """Return the adapter, imported by its own name: the module that was started is ``__main__``, a second copy."""
    return importlib.import_module(f"eco2ai_callbacks.{framework}")


def _prepare_transformers() -> None:
    _adapter("transformers")


def _prepare_lightning() -> None:
    """Set the variable that the entry point reads, which the ranks that Lightning starts inherit."""
    adapter = _adapter("lightning")
    groups = ("lightning.pytorch.callbacks_factory", "pytorch_lightning.callbacks_factory")
    known = {point.module for group in groups for point in entry_points(group=group)}
    if "eco2ai_callbacks.auto" not in known:
        sys.exit(
            f"{adapter.__name__} is not installed, so that Lightning does not find it: pip install eco2ai-callbacks"
        )
    os.environ["ECO2AI_AUTO"] = "1"


def _prepare_keras() -> None:
    """Add one callback to every list of callbacks that Keras or the user makes and that has none of ours."""
    adapter = _adapter("keras")
    lists: Any = importlib.import_module("keras.callbacks").CallbackList
    ours = adapter.Eco2AICallback()
    make = lists.__init__

    def make_with_ours(self: Any, callbacks: Any = None, *args: Any, **kwargs: Any) -> None:
        given = importlib.import_module("keras.tree").flatten(callbacks) if callbacks else []
        if not any(isinstance(each, adapter.Eco2AICallback) for each in given):
            given = [*given, ours]
        make(self, given, *args, **kwargs)

    lists.__init__ = make_with_ours


_FRAMEWORKS: Mapping[str, tuple[Callable[[], None], str]] = {
    "lightning": (_prepare_lightning, "with our callback in every Trainer"),
    "transformers": (_prepare_transformers, "with the name eco2ai known to\n`report_to` and `--report_to`"),
    "keras": (_prepare_keras, "with our callback in every fit,\nevaluate and predict"),
}
