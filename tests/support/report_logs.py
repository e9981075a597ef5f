"""Logs for reports: a job of ranks, runs inside others, epochs with metrics and forecasts, and hostile ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sessions import Written

from eco2ai_callbacks.runlog.hashing import canonical

GRID = {
    **{"g_per_kwh": 400.0, "region": "DE", "name": "Germany", "dataset": "Ember 2026-04", "year": 2025},
    **{"kind": "lifecycle", "level": "country", "low": 360.0, "high": 440.0, "found_by": "setting"},
}
# Texts that would do harm where a reader takes them for more than texts.
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\x1b[31mred\x1b[0m\x07",
    '=HYPERLINK("http://example.org")',
    "| a | `b` |\n# c",
    "\\end{tabular} $x$ 100%",
    "{{ 7 * 7 }}",
    "\u202egnp.exe",
    "c0",
)


def training(path: Path, run: str = "run", epochs: int = 3, **fields: Any) -> Written:
    """Write a training with validation, metrics and forecasts."""
    written = Written(path, run, **{"intensity": GRID, "version": "0.1.0", "description": f"training {run}"} | fields)
    for epoch in range(epochs):
        written.mark("stage", epoch, "train")
        written.mark("stage", epoch, "validate")
        written.mark("epoch", epoch, samples=100, metrics={"loss": 1.0 / (epoch + 1), "lr": 0.1})
        figures = {"energy_kwh": 1e-4, "energy_band_kwh": (5e-5, 2e-4), "co2_kg": 1e-4, "seconds": 20.0}
        written.note("forecast", **figures, done=epoch + 1, planned=epochs)
    written.stop()
    return written


def folder(path: Path = Path("logs")) -> Path:
    """Write a folder with a job of two ranks, a run inside another one, and one that was killed."""
    path.mkdir()
    for rank in range(2):
        training(path / f"rank{rank}.jsonl", "job", 2, rank=rank, world_size=2, host=f"host{rank}")
    training(path / "outer.jsonl", "outer", 1, project="other", not_covered=("a switch",))
    training(path / "inner.jsonl", "inner", 1, parent="outer")
    killed = Written(path / "killed.jsonl", "killed", intensity=GRID | {"kind": "direct", "year": 2023})
    killed.mark(epoch=0)
    killed.heartbeat(1)
    return path


def later(path: Path = Path("eco2ai.jsonl"), run: str = "later", schema: int = 9) -> Path:
    """Append a session as a later version may write it: what its fields mean is not known."""
    before = path.read_text() if path.exists() else ""
    path.write_text("")
    training(path, run, 1)
    path.write_text(before + path.read_text().replace('"schema":2', f'"schema":{schema}'))
    return path


def hostile(path: Path = Path("hostile")) -> Path:
    """Write a folder of logs that try to do harm."""
    path.mkdir()
    for number, text in enumerate(HOSTILE):
        fields = {"project": text, "description": text, "host": text, "not_covered": (text,)}
        written = Written(path / f"{number}.jsonl", f"{text} {number}", **fields)
        written.mark("epoch", 10**9, metrics={text: 1.0, "loss": 0.5})
        written.mark("epoch", 10**9 + 1, metrics={text: 2.0, "loss": 0.25})
        written.mark("stage", None, text)
        written.stop(text)
    first = (path / "0.jsonl").read_bytes().splitlines()[0]
    assert b'"schema":2' in first
    future = first.replace(b'"schema":2', b'"schema":99').replace(b'"writer":"', b'"news":{"a":[1]},"writer":"f')
    plain = {"run": "odd", "writer": "o", "seq": 0, "event": "stage", "seconds": 1.0, "joules": {"cpu": 1.0}}
    odd = canonical(plain | {"band": [1], "failures": "all", "sources": {"a": 1}}).encode()
    refused = canonical(plain | {"method": 7, "intensity": "DE", "measured_share": "x"}).encode()
    lines = (
        b"x" * (10 * 2**20),
        b"\xff\xfe\x00latin \xe9",
        future,
        odd,
        refused,
        b'{"schema":1,"run":"torn',
        b"[" * 100_000,
    )
    (path / "odd.jsonl").write_bytes(b"\n".join(lines))
    (path / "=cmd.csv").write_text("a,b\n=1+1,2\n")
    return path
