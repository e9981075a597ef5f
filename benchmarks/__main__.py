"""``python -m benchmarks``: make the environments, take the measures, and print one table."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import environments, page, peers, report
from benchmarks.environments import Environment
from benchmarks.measures import catalogue
from benchmarks.measures.bench import Bench
from benchmarks.peers import OURS, Peer
from benchmarks.table import Row, error, facts, render


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = _parser()
    given = parser.parse_args(args)
    try:
        packages, measures = peers.chosen(given.peers), catalogue.chosen(given.only)
        if given.write:
            page.replaced(given.write.read_text(encoding="utf-8"), "")
    except (ValueError, OSError) as problem:
        parser.error(str(problem))
    began = time.monotonic()
    with ExitStack() as stack:
        folder = given.environments or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        _tell(f"environments in {folder}")
        made = environments.make(packages, folder.resolve())
        _tell(f"{time.monotonic() - began:.0f} s")
        text = report_of(given, packages, measures, made)
    print(text)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")
    if given.write:
        page.write(given.write, text)
    _tell(f"{time.monotonic() - began:.0f} s in all")
    return 0


def report_of(
    given: argparse.Namespace,
    packages: tuple[Peer, ...],
    measures: Sequence[str],
    made: dict[str, Environment | environments.InstallError],
) -> str:
    """Take the measures and return the table with all that its reader must know.

    Args:
        given: The command's options.
        packages: Packages to compare, ours first.
        measures: Names of the measures.
        made: Environment of each package, or why there is none.
    """
    ready = {name: each for name, each in made.items() if isinstance(each, Environment)}
    if OURS.name not in ready:
        raise SystemExit(f"{OURS.name} could not be installed: {made[OURS.name]}")
    bench = Bench(
        peers=tuple(peer for peer in packages if peer.name in ready),
        environments=ready,
        seconds=given.seconds or (1.5 if given.quick else 4.0),
        idle_s=10.0 if given.quick else 60.0,
        cap_s=5.0 if given.quick else 60.0,
        rounds=2 if given.quick else 3,
    )
    head, load = report.head(command_of(given)), report.load()
    rows: list[Row] = []
    for name in measures:
        began = time.monotonic()
        rows += catalogue.MEASURES[name](bench)
        _tell(f"{name}: {time.monotonic() - began:.0f} s")
    for row in rows:
        for name, each in made.items():
            if not isinstance(each, Environment):
                row.cells[name] = error(each)
    after = {"Load of the machine, before and after": f"{load}, {report.load()}"}
    table = render([peer.name for peer in packages], rows)
    uses, versions = report.uses(packages, bench), report.versions(packages, made)
    return "\n\n".join([facts(head | after), table, facts(uses), facts(versions)])


def command_of(given: argparse.Namespace) -> str:
    """The command as far as it decides what is measured: folders and files of one machine are no part of it."""
    words = ["python -m benchmarks"]
    words += [f"--{name} {','.join(getattr(given, name))}" for name in ("peers", "only") if getattr(given, name)]
    words += [f"--seconds {given.seconds:g}"] if given.seconds else []
    return " ".join([*words, "--quick"] if given.quick else words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=sys.modules[__name__].__doc__)
    names = ", ".join(peer.name for peer in peers.PEERS)
    parser.add_argument("--peers", type=_names, default=(), metavar="A,B", help=f"packages beside ours: {names}")
    parser.add_argument("--only", type=_names, default=(), metavar="A,B", help=", ".join(catalogue.MEASURES))
    parser.add_argument("--seconds", type=_seconds, help="length of each load (4)")
    parser.add_argument("--quick", action="store_true", help="a few minutes: shorter loads, fewer rounds")
    parser.add_argument("--environments", type=Path, metavar="FOLDER", help="where the environments are kept")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table to a file too")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="replace the generated block of a page")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.5 <= seconds <= 600:
        raise argparse.ArgumentTypeError(f"{text} is not from 0.5 to 600 seconds")
    return seconds


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
