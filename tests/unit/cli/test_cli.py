"""The command eco2ai: its help, doctor and regions."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from eco2ai_callbacks.cli import main
from eco2ai_callbacks.settings import NAMES


def run(*args: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(args), env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_the_module_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eco2ai_callbacks", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: eco2ai ")
    for command in ("doctor", "regions"):
        assert f"\n  {command} " in done.stdout


def test_every_command_explains_itself() -> None:
    for name in main.commands:
        code, text = run(name, "--help")
        assert code == 0
        assert len(text.splitlines()) > 3


def test_doctor_says_of_every_source_whether_it_works_or_why_not() -> None:
    code, text = run("doctor")
    assert code == 0
    for source in ("NVML", "RAPL", "CPU model", "RAM model"):
        line = next(line for line in text.splitlines() if f" {source}" in line)
        assert line.partition(":")[2].strip(), f"no reason at {source}"


def test_doctor_shows_every_setting_with_where_it_came_from() -> None:
    code, text = run("doctor", env={"ECO2AI_PUE": "1.25", "ECO2AI_REGION": "FR", "ECO2AI_REGON": "FR"})
    assert code == 0
    shown = {line.split()[0]: line for line in text.splitlines() if " = " in line}
    assert set(NAMES) <= set(shown)
    assert "1.25" in shown["pue"]
    assert "ECO2AI_PUE" in shown["pue"]
    assert shown["heartbeat_s"].split() == ["heartbeat_s", "=", "60.0", "default"]
    assert "ECO2AI_REGON is set, and names no setting" in text
    assert "France: 41.44 g CO2e/kWh (lifecycle, 2025" in text


def test_doctor_refuses_a_wrong_setting_in_one_sentence() -> None:
    code, text = run("doctor", env={"ECO2AI_SCOPE": "galaxy"})
    assert code == 2
    assert "scope='galaxy' (from ECO2AI_SCOPE) is not accepted: 'process' or 'machine'." in text


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
