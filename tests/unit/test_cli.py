"""The command eco2ai: its help, doctor and regions."""

from __future__ import annotations

from click.testing import CliRunner

from eco2ai_callbacks.cli import main


def run(*args: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(args), env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_every_command_explains_itself() -> None:
    for name in main.commands:
        code, text = run(name, "--help")
        assert code == 0
        assert len(text.splitlines()) > 3
