"""The command eco2ai regions."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from eco2ai_callbacks.cli import main


def run(*args: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(args), env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("text", "expected"),
    [("fra", "France"), ("california", "US-CA"), ("aws:eu-west", "aws:eu-west-3"), ("Москва", "RU-MOW")],
)
def test_regions_finds_places_with_year_kind_and_dataset(text: str, expected: str) -> None:
    code, shown = run("regions", text)
    assert code == 0
    line = next(line for line in shown.splitlines() if expected in line)
    assert " g/kWh " in line
    assert "[" in line


def test_regions_lists_all() -> None:
    code, shown = run("regions")
    assert code == 0
    assert len(shown.splitlines()) > 800


def test_regions_says_when_there_is_none() -> None:
    code, shown = run("regions", "atlantis")
    assert code == 1
    assert "no place has a code or a name that begins like 'atlantis'" in shown
