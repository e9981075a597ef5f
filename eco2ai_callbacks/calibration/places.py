"""Where calibrations are kept. A start asks this alone: most machines have none."""

from __future__ import annotations

from pathlib import Path

from eco2ai_callbacks.settings import files

SITE_FILE = Path("/etc/eco2ai/calibration.jsonl")


def default_files() -> tuple[Path, ...]:
    """Return the files that are read, the user's before the site's."""
    home = files.home_folder()
    return (SITE_FILE,) if home is None else (user_file(home), SITE_FILE)


def user_file(home: Path) -> Path:
    """Return the user's own file.

    Args:
        home: The user's home folder.
    """
    return home / ".config/eco2ai/calibration.jsonl"
