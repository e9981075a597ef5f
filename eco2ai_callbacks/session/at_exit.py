"""What ends a run when its process exits."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from contextlib import ExitStack


def end_at_exit(end: Callable[[], None], undo: ExitStack) -> None:
    """Call a function when the process exits, unless that is undone before.

    Args:
        end: The function.
        undo: Gets what takes that back.

    Example:
        >>> undo = ExitStack()
        >>> end_at_exit(lambda: print("the process exits"), undo)
        >>> undo.close()
    """
    atexit.register(end)
    undo.callback(atexit.unregister, end)
    # Children of multiprocessing exit without running the functions that atexit holds.
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        from multiprocessing.util import Finalize

        undo.callback(Finalize(None, end, exitpriority=100).cancel)
