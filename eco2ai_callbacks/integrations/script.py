"""A runner of unchanged scripts with our callback in their trainings: ``python -m eco2ai_callbacks.keras train.py``."""

from __future__ import annotations

import builtins
import functools
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

from eco2ai_callbacks.integrations.accelerate_processes import pass_on
from eco2ai_callbacks.integrations.unmeasured import report_if_nothing_is_measured

_USAGE = """\
usage: python -m eco2ai_callbacks.{name} SCRIPT [ARGUMENTS ...]
       python -m eco2ai_callbacks.{name} -m MODULE [ARGUMENTS ...]

Runs a Python script or module as `python` itself would, {what}.
Settings come from the ECO2AI_* variables, pyproject.toml and the site file.
"""


def launch(framework: str, arguments: Sequence[str] | None = None) -> None:
    """Prepare the framework, then run the script as ``__main__``; its exit code and exceptions are this process's.

    Args:
        framework: ``lightning``, ``transformers``, ``keras`` or ``accelerate``.
        arguments: The script and its arguments; those of the command line by default.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    prepare, what, why = _FRAMEWORKS[framework]
    usage = _USAGE.format(name=framework, what=what)
    as_module = given[:1] == ["-m"]
    if given[:1] in (["-h"], ["--help"]):
        print(usage, end="")
        return
    if not given[as_module:] or given[0].startswith("-") is not as_module:
        sys.stderr.write(usage)
        sys.exit(2)
    finish = prepare()
    run = _module(given[1:]) if as_module else _script(given)
    report_if_nothing_is_measured(f"python -m eco2ai_callbacks.{framework}", why)
    try:
        run()
    except SystemExit as end:
        if not end.code:
            finish()
        raise
    finish()


def _module(arguments: list[str]) -> Callable[[], object]:
    """Return what runs a module, with its arguments, as ``python -m`` does."""
    sys.argv[:] = arguments
    return lambda: runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def _script(arguments: list[str]) -> Callable[[], object]:
    """Return what runs a script as this process's ``__main__``, which stays so: pickles too look up definitions there.

    Exits with 2 where the script cannot be read.
    """
    sys.argv[:] = arguments
    path = str(Path(arguments[0]).absolute())
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

    def run() -> None:
        code = compile(source, path, "exec", dont_inherit=True)
        sys.modules["__main__"] = module
        exec(code, module.__dict__)

    return run


def _adapter(framework: str) -> Any:
    """Return the adapter, imported by its own name: the module that was started is ``__main__``, a second copy."""
    return importlib.import_module(f"eco2ai_callbacks.{framework}")


def _nothing() -> None:
    """Do nothing at the script's end: the framework ends its runs."""


def _prepare_transformers() -> Callable[[], None]:
    """Add a callback to every Trainer that has none of ours, whatever ``report_to`` names."""
    adapter = _adapter("transformers")
    handler: Any = importlib.import_module("transformers.trainer_callback").CallbackHandler
    adapter.Eco2AICallback()  # a wrong setting is reported now, not where the first Trainer is made
    make = handler.__init__

    @functools.wraps(make)
    def make_with_ours(self: Any, callbacks: Any, *args: Any, **kwargs: Any) -> None:
        if not any(adapter.is_ours(each) for each in callbacks):
            callbacks = [*callbacks, adapter.AutomaticCallback()]
        make(self, callbacks, *args, **kwargs)

    handler.__init__ = make_with_ours
    return _nothing


def _prepare_lightning() -> Callable[[], None]:
    """Set the variable that the entry point reads, which the ranks that Lightning starts inherit."""
    adapter = _adapter("lightning")
    groups = ("lightning.pytorch.callbacks_factory", "pytorch_lightning.callbacks_factory")
    known = {point.module for group in groups for point in entry_points(group=group)}
    if "eco2ai_callbacks.auto" not in known:
        sys.exit(
            f"{adapter.__name__} is not installed, so that Lightning does not find it: pip install eco2ai-callbacks"
        )
    os.environ["ECO2AI_AUTO"] = "1"
    return _nothing


def _prepare_keras() -> Callable[[], None]:
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
    return _nothing


def _prepare_accelerate() -> Callable[[], None]:
    """Add a tracker to every Accelerator that has none of ours; it measures each process from then on, without a call.

    A script that logs nothing calls no tracker: its run ends with it.
    """
    adapter = _adapter("accelerate")
    accelerators: Any = importlib.import_module("accelerate").Accelerator
    adapter.Eco2AITracker()  # a wrong setting is reported now
    made: list[Any] = []
    make = accelerators.__init__

    @functools.wraps(make)
    def make_with_ours(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        if any(adapter.is_ours(each) for each in self.log_with):
            return
        # One that still measures goes on: a second run at the same time would count everything twice.
        if not (made and made[-1].tracker.running):
            made.append(adapter.Eco2AITracker())
        self.log_with = [*self.log_with, made[-1]]
        # Nobody has written this script so that its processes log alike: none waits for another.
        made[-1].in_every_process(together=False)
        pass_on(self, made[-1])
        made[-1].begin(self)

    accelerators.__init__ = make_with_ours
    return lambda: made[-1].finish() if made else None


# What prepares each framework and returns what to call at the script's end; what is said of it in the usage; and why
# nothing may have been measured.
_FRAMEWORKS: Mapping[str, tuple[Callable[[], Callable[[], None]], str, str]] = {
    "lightning": (_prepare_lightning, "with our callback in every Trainer", "no Trainer of Lightning has run"),
    "transformers": (_prepare_transformers, "with our callback in every Trainer", "no Trainer of transformers has run"),
    "keras": (_prepare_keras, "with our callback in every fit,\nevaluate and predict", "no fit of Keras has run"),
    "accelerate": (_prepare_accelerate, "with our tracker in every Accelerator", "no Accelerator was made"),
}
