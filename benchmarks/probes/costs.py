"""What the import and the start of a tracker cost."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from turns import Turn, serve, tracker


def begin(name: str, folder: Path) -> Turn:
    def measure(package: str) -> dict[str, Any]:
        before, began = set(sys.modules), time.perf_counter()
        make = tracker(name)
        import_s = time.perf_counter() - began
        tops = [module.partition(".")[0] for module in set(sys.modules) - before]
        others = [top for top in tops if top not in sys.stdlib_module_names | {"trackers", package}]
        began = time.perf_counter()
        make(folder)
        return {"import_s": import_s, "modules": len(others), "start_s": time.perf_counter() - began}

    return measure


serve(begin)
