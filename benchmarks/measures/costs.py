"""What is installed, what is imported, and how long a start takes."""

from __future__ import annotations

import statistics
from collections import defaultdict

from benchmarks.measures.bench import Bench, cell
from benchmarks.peers import OURS
from benchmarks.table import Row, figure

# The package as Python imports it; what else is loaded came with it.
IMPORTED = {"landauer-gap": "joules"}


def installed(bench: Bench) -> list[Row]:
    """Return what each package brings along."""
    version, count, size = Row("version"), Row("packages installed, itself included"), Row("MB installed")
    for peer in bench.peers:
        environment = bench.environments[peer.name]
        version.cells[peer.name] = environment.version
        count.cells[peer.name] = str(len(environment.packages))
        size.cells[peer.name] = figure(environment.mb)
    return [version, count, size]


def starts(bench: Bench) -> list[Row]:
    """Return import and start, as medians over rounds of new processes."""
    imports, others, start = (
        Row("import, ms (times ours)"),
        Row("modules of other packages loaded by it"),
        Row("construct and start, ms"),
    )
    answers = defaultdict(list)
    # One more: the first compiles.
    for turn in range(bench.rounds + 1):
        for peer in bench.order(turn):
            with cell(peer, imports, others, start), bench.probe("costs.py", peer) as probe:
                package = IMPORTED.get(peer.name, peer.name)
                answer = probe.ask(package=package)
                if turn:
                    answers[peer.name].append(answer)
    medians = {name: statistics.median(each["import_s"] for each in found) for name, found in answers.items()}
    for name, found in answers.items():
        times = f" ({figure(medians[name] / medians[OURS.name])})" if OURS.name in medians else ""
        imports.cells[name] = figure(medians[name] * 1000) + times
        others.cells[name] = str(found[-1]["modules"])
        start.cells[name] = figure(statistics.median(each["start_s"] for each in found) * 1000)
    return [imports, others, start]
