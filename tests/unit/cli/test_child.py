"""Commands that cannot be run; those that can are in ``tests/system``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from eco2ai_callbacks.cli.child import NOT_FOUND, NOT_RUNNABLE, Refused, available, check


def refusal(*command: str) -> Refused:
    with pytest.raises(Refused) as refused:
        check(command)
    return refused.value


def test_a_program_is_found_by_its_path_and_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    check([sys.executable, "-c", ""])
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    check([Path(sys.executable).name])


@pytest.mark.parametrize("name", ["no-such-program", "./no-such-program", "/no/such/program"])
def test_what_is_not_there_is_not_found(name: str) -> None:
    why = refusal(name, "--option")
    assert (str(why), why.code) == (f"{name} was not found", NOT_FOUND)


@pytest.mark.parametrize("name", ["./notes.txt", "notes.txt", "."])
def test_what_is_there_and_no_program_cannot_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    Path("notes.txt").write_text("words")
    monkeypatch.setenv("PATH", str(tmp_path))
    why = refusal(name)
    assert str(why).startswith(f"{name} cannot be run: ")
    assert why.code == NOT_RUNNABLE


def test_a_system_that_cannot_wait_without_reaping_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    assert available() is (hasattr(os, "waitid") and hasattr(signal, "sigtimedwait"))
    monkeypatch.delattr(os, "waitid", raising=False)
    assert not available()
