"""A probe's side of the conversation: each line of JSON on stdin is a turn, and is answered by one on stdout."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Turn = Callable[..., dict[str, Any]]


def tracker(name: str) -> Any:
    """Return the class of ``trackers/<name>.py``, whose import is that of the package."""
    return importlib.import_module(f"trackers.{name}").Tracker


def serve(begin: Callable[[str, Path], Turn]) -> None:
    """Answer turns until stdin ends; a failure is an answer too, and the last one.

    Args:
        begin: Makes what answers, from the tracker's name and the folder for its files.
    """
    # Trackers print: stdout is kept for answers alone.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    name, folder = sys.argv[1], Path(sys.argv[2])
    os.chdir(folder)
    turn: Turn | None = None
    for line in sys.stdin:
        try:
            if turn is None:
                turn = begin(name, folder)
            answer = turn(**json.loads(line))
        except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever a tracker raises is its result)
            answer = {"error": f"{type(error).__name__}: {error}".strip().splitlines()[0]}
        print(json.dumps(answer), file=answers, flush=True)
        if "error" in answer:
            # Threads of a broken tracker may never end.
            os._exit(1)
    os._exit(0)
