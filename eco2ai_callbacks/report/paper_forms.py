"""What the forms of conferences ask about computation, answered from run logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from eco2ai_callbacks.report.statement import Statement, listed, per_run
from eco2ai_callbacks.sinks.console import amount, duration
from eco2ai_callbacks.usage import GRAMS_PER_KG

# Runs that an answer lists; a form has room for some.
_MOST_RUNS = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """A question of a form, and what the logs answer.

    Args:
        question: The form's own number or name of it, and what it asks, in our words.
        lines: The answer; what the logs do not hold is said to be the author's.
    """

    question: str
    lines: tuple[str, ...]


def neurips(found: Statement) -> list[Answer]:
    """Return the answer to question 8 of the NeurIPS Paper Checklist.

    Source: https://neurips.cc/public/guides/PaperChecklist, read 2026-11-28.
    """
    return [
        Answer(
            "NeurIPS Paper Checklist, question 8 (compute resources): kind of workers, memory, time of execution",
            (*_workers(found), "Memory and storage: for the authors to add."),
        ),
        Answer("The same, for each experimental run", tuple(_each(found))),
        Answer(
            "The same, in total, and whether the project used more than the paper reports",
            (
                *_whole(found),
                "Runs whose logs were not given, such as failed or preliminary ones: for the authors to add.",
            ),
        ),
    ]


def acl(found: Statement) -> list[Answer]:
    """Return the answer to question C1 of the ACL's Responsible NLP Research checklist.

    Source: https://aclrollingreview.org/responsibleNLPresearch/, read 2026-11-28.
    """
    return [
        Answer("Responsible NLP checklist, C1: number of parameters", ("For the authors to add: no log holds it.",)),
        Answer("Responsible NLP checklist, C1: total computational budget", tuple(_whole(found))),
        Answer("Responsible NLP checklist, C1: computing infrastructure", tuple(_workers(found))),
    ]


def cvpr(found: Statement) -> list[Answer]:
    """Return the answers to the sections of CVPR 2026's Compute Reporting Form.

    Source: https://cvpr.thecvf.com/Conferences/2026/ComputeReporting, read 2026-11-28; the sections' names, as the
    form's single fields are in a PDF.
    """
    states = [state for run in found.counted for state in run.states]
    kinds = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return [
        Answer("Compute Reporting Form, section 1: hardware specifications", tuple(_workers(found))),
        Answer("Compute Reporting Form, section 2: compute of each reported result", tuple(_each(found))),
        Answer("Compute Reporting Form, section 3: development", (*_whole(found), f"How the runs ended: {kinds}.")),
        Answer("Compute Reporting Form, section 4: logs", ("The run logs; a W&B run's configuration names its run.",)),
        Answer(
            "Compute Reporting Form, section 5: verification",
            (
                "`eco2ai verify LOG` recomputes the logs' hashes and totals.",
                f"Figures are from {listed(found.software)}.",
            ),
        ),
    ]


FORMS: Mapping[str, Callable[[Statement], list[Answer]]] = {"neurips": neurips, "acl": acl, "cvpr": cvpr}


def _workers(found: Statement) -> Iterator[str]:
    yield f"GPUs: {found.hardware or 'the logs name none'}."
    hosts = {host for run in found.counted for host in run.hosts}
    ranks = max((run.world_size for run in found.counted), default=1)
    yield f"{len(hosts)} host{'' if len(hosts) == 1 else 's'}, up to {ranks} process{'' if ranks == 1 else 'es'} a run."
    if found.places:
        yield f"Place: {listed(found.places)}."
    yield "Processors, and the cluster or cloud provider: for the authors to add."


def _each(found: Statement) -> Iterator[str]:
    for each in islice(per_run(found), _MOST_RUNS):
        (run,) = each.runs
        name = f"{run.project}, {run.id}" if run.project else run.id
        yield f"Run {name}: {', '.join(_amounts(each))}."
    more = len(found.counted) - _MOST_RUNS
    if more > 0:
        yield f"{more} more runs: `eco2ai report` lists all."


def _whole(found: Statement) -> Iterator[str]:
    yield f"{len(found.counted)} run{'' if len(found.counted) == 1 else 's'}: {', '.join(_amounts(found))}."
    if found.methods:
        yield f"Method: {found.said_methods}."
    if found.said_factors:
        yield f"CO2e with {found.said_factors} and PUE {found.said_pue}."
    yield from found.limits


def _amounts(found: Statement) -> Iterator[str]:
    if found.gpu_hours is not None:
        yield f"{found.gpu_hours:.3g} GPU-hours"
    yield duration(found.sum.seconds, minutes_from=60.0)
    yield found.energy if found.sum.energy_kwh is not None else "energy not measured"
    co2 = found.sum.co2_kg
    if co2 is not None:
        yield f"{amount(co2 * GRAMS_PER_KG, 'g')} CO2e"
