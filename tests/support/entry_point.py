"""The command as it is installed, as a process of its own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path


def eco2ai(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command; without an installation, the module that it stands for."""
    script = Path(sysconfig.get_path("scripts")) / "eco2ai"
    command = [str(script)] if script.exists() else [sys.executable, "-m", "eco2ai_callbacks"]
    return subprocess.run([*command, *args], capture_output=True, text=True, timeout=120)


def check_published(log: str = "eco2ai.jsonl") -> None:
    """What the commands for publishing make of a real log fits the log."""
    from eco2ai_callbacks.metrics.front_matter import parsed
    from eco2ai_callbacks.metrics.model_card import emissions
    from eco2ai_callbacks.report.load import load

    runs = load(log)
    cited = eco2ai("cite", log)
    assert cited.returncode == 0, cited.stderr
    assert cited.stdout.startswith(f"{len(runs)} run")
    assert all(run.versions[0] in cited.stdout for run in runs)
    Path("model").mkdir(exist_ok=True)
    done = eco2ai("card", "model", "--log", log)
    assert done.returncode == 0, done.stderr
    field = parsed(Path("model/README.md").read_text())["co2_eq_emissions"]
    assert field["emissions"] == emissions(runs.sum.usage.grams or 0.0)
    assert field["source"].endswith(f"{runs[0].versions[0]})")
