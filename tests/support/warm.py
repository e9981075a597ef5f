"""Programs in processes of their own that find a framework already imported: an import costs more than what they do."""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# What a launcher of ours imports before its script runs, and no more.
IMPORTS = {
    "lightning": ("lightning.pytorch",),
    "transformers": ("transformers.trainer",),
    "keras": ("keras",),
    "accelerate": ("accelerate",),
}
# Imports once, then forks for each program, which goes on as `python -m MODULE ARGUMENTS` would.
SERVER = """
import gc, importlib, json, os, runpy, sys, tempfile
for name in sys.argv[1:]:
    importlib.import_module(name)
gc.freeze()  # what is never looked at is never copied
for line in sys.stdin:
    asked = json.loads(line)
    pid = os.fork()
    if pid == 0:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
else:
    os._exit(0)
os.chdir(asked["folder"])
os.environ.clear()
os.environ.update(asked["environ"])
tempfile.tempdir = None
for descriptor, path in enumerate(asked["files"]):
    opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    os.dup2(opened, descriptor)
    os.close(opened)
sys.stdin = open(0)
sys.argv = ["-m", *asked["arguments"]]
sys.path[0] = asked["folder"]
module = asked["module"]
del asked, descriptor, line, name, opened, path, pid
runpy._run_module_as_main(module)
"""


@functools.cache
def _server(imports: tuple[str, ...]) -> subprocess.Popen[str]:
    # One thread: a pool that had begun its work would not be there after the fork.
    environ = os.environ | {"OMP_NUM_THREADS": "1", "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "torch")}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, *imports],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ,
    )  # fmt: skip
    atexit.register(server.kill)
    return server


def run_module(
    imports: tuple[str, ...], module: str, *arguments: str, environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m module`` to its end in this folder, forked from a process that has imported these modules.

    Args:
        imports: Modules that are imported before; never ours, whose imports the program is to do itself.
        module: The module to run as ``__main__``.
        arguments: Its arguments.
        environ: All variables of the process.
    """
    server = _server(imports)
    assert server.stdin is not None
    assert server.stdout is not None
    folder = Path.cwd()
    said = [folder / "warm-stdout.txt", folder / "warm-stderr.txt"]
    for path in said:
        path.unlink(missing_ok=True)
    asked = {
        "folder": str(folder),
        "environ": dict(environ),
        "files": [os.devnull, *map(str, said)],
        "module": module,
        "arguments": arguments,
    }
    server.stdin.write(json.dumps(asked) + "\n")
    server.stdin.flush()
    code = int(server.stdout.readline())
    return subprocess.CompletedProcess([module, *arguments], code, *(path.read_text() for path in said))
