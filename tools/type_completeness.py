"""Check how much of the public interface has a known type: ``python tools/type_completeness.py PYTHON``.

Pyright reads the installed package as a user's editor does. What comes from packages that are not installed counts as
unknown, so frameworks that are missing lower the score.
"""

from __future__ import annotations

import json
import subprocess
import sys

PACKAGE = "eco2ai_callbacks"
LEAST = 0.99


def unknown(report: dict[str, object]) -> list[str]:
    """Return the public symbols without a known type, each with what pyright says of it."""
    symbols = report["symbols"]
    assert isinstance(symbols, list)
    return [
        f"{symbol['name']}: {note['message']}"
        for symbol in symbols
        if symbol["isExported"] and not symbol["isTypeKnown"]
        for note in symbol["diagnostics"]
    ]


def main(python: str) -> int:
    """Print the score and what lowers it; return 1 where it is below the least that is accepted."""
    command = ["pyright", "--pythonpath", python, "--verifytypes", PACKAGE, "--ignoreexternal", "--outputjson"]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        report = json.loads(answer.stdout)["typeCompleteness"]
    except (ValueError, KeyError):
        print(answer.stdout, answer.stderr, file=sys.stderr)
        return 2
    score = float(report["completenessScore"])
    print(*unknown(report), sep="\n")
    print(f"{score:.2%} of the public interface has a known type; at least {LEAST:.0%} is accepted")
    return 0 if score >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else sys.executable))
