"""``python -m eco2ai_callbacks`` is the command ``eco2ai``."""

from eco2ai_callbacks.cli import main

main(prog_name="eco2ai")
