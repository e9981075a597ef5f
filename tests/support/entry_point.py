"""The command as it is installed, as a process of its own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path


def eco2ai(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command; without an installation, the module that it stands for."""
    script = Path(sysconfig.get_path("scripts")) / "eco2ai"
    command = [str(script)] if script.exists() else [sys.executable, "-m", "eco2ai_callbacks"]
    return subprocess.run([*command, *args], capture_output=True, text=True, timeout=120)


# Runs many commands by the installed entry point in one process, whose start takes longer than most of them.
_MANY = """
import contextlib, io, json, sys
from importlib.metadata import entry_points

(command,) = entry_points(group="console_scripts", name="eco2ai")
main, found = command.load(), []
for args in json.loads(sys.argv[1]):
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(args)
        except SystemExit as end:
            code = end.code or 0
    found.append((code, *(each.buffer.getvalue().decode() for each in (out, err))))
print(json.dumps(found))
"""
# What no log holds, and BoAmps asks for.
_SET = [
    part
    for each in ("data_type=text", "task_family=textClassification", "infra_type=onPremise", "cpus=1")
    for part in ("--set", each)
]
# Commands that read a log, with what each needs beside it; those with an extra are left out where it is missing.
READING: dict[tuple[str, ...], str] = {
    ("report", "--by", "project"): "",
    ("report", "--by", "epoch", "--format", "json"): "",
    ("report", "--by", "component", "--format", "csv"): "",
    ("report", "--by", "phase", "--format", "markdown"): "",
    ("report", "--by", "day", "--format", "latex"): "",
    ("report", "--html", "page.html"): "vl_convert",
    ("gate", "--max-kwh", "1000000"): "",
    ("export", "--format", "prometheus"): "",
    ("export", "--format", "codecarbon", "-o", "codecarbon.csv"): "",
    ("export", "--format", "eco2ai", "-o", "eco2ai_columns.csv"): "",
    ("export", "--format", "parquet", "-o", "runs.parquet"): "pyarrow",
    ("export", "--format", "sci"): "",
    ("export", "--format", "ai-act", "--set", "name=model"): "",
    ("export", "--format", "cyclonedx", "--set", "name=model"): "",
    ("export", "--format", "spdx", "--set", "name=model"): "",
    ("export", "--format", "boamps", *_SET): "",
    ("cite", "--format", "markdown"): "",
    ("merge", "-o", "merged.jsonl"): "",
    ("recompute", "--region", "SE", "--output", "in_sweden.jsonl"): "",
}


def each_of(*commands: tuple[str, ...]) -> list[tuple[int, str, str]]:
    """Run commands by the installed entry point, one after the other; return exit code, output and errors of each.

    What they write is in a folder that is gone afterwards.
    """
    command = [sys.executable, "-c", _MANY, json.dumps(commands)]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr
    return [tuple(each) for each in json.loads(done.stdout.splitlines()[-1])]


def reading(log: str) -> list[tuple[str, ...]]:
    """Return the commands that read a log, as far as their extras are installed."""
    log = str(Path(log).resolve())
    found = [(name, log, *rest) for (name, *rest), needs in READING.items() if not needs or _has(needs)]
    return [*found, ("compare", log, "in_sweden.jsonl"), ("watch", log, "--once"), ("verify", log)]


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def check_read(log: str = "eco2ai.jsonl") -> None:
    """Each command that reads logs takes a real one."""
    commands = reading(log)
    for command, (code, out, errors) in zip(commands, each_of(*commands), strict=True):
        assert (code, "Traceback" in out + errors) == (0, False), (command, out, errors)
        assert out or errors.endswith(" written\n"), command


def check_published(log: str = "eco2ai.jsonl") -> None:
    """What the commands for publishing make of a real log fits the log."""
    from eco2ai_callbacks.metrics.front_matter import parsed
    from eco2ai_callbacks.metrics.model_card import emissions
    from eco2ai_callbacks.report.load import load

    check_read(log)
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
