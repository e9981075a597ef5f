"""Why a difference between runs cannot be told to be one of what they did: methods, hardware, ranks, too few runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from eco2ai_callbacks.comparing.figures import Figures
from eco2ai_callbacks.report.groups import said_of, some
from eco2ai_callbacks.report.runs import Run
from eco2ai_callbacks.usage import component_of

# Samples of an epoch that differ by more are not those of the same epoch: a last batch that is dropped is less.
_SAME_EPOCH = 0.02


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two groups that are compared.

    Args:
        name: Its name.
        figures: The figures of its runs.
    """

    name: str
    figures: Sequence[Figures]

    @property
    def runs(self) -> list[Run]:
        """Its runs."""
        return [each.run for each in self.figures]


def components_of(run: Run) -> str:
    """Return the components that a run's figures include, in words."""
    found = {part for channel in run.methods for part in run.covers.get(channel) or (component_of(channel),)}
    return ", ".join(sorted(found)) or "none"


def methods_of(run: Run) -> str:
    """Return the measuring methods of a run's components, in words."""
    return _by_component({channel: " and ".join(methods) for channel, methods in run.methods.items()}, "by") or "none"


def attribution_of(run: Run) -> str:
    """Return whose energy a run's figures are, in words."""
    return _by_component(run.attribution, "of the") or "not stated"


def gpus_of(run: Run) -> str:
    """Return how many GPUs were measured, in words."""
    count = sum(component_of(channel) == "gpu" for channel in run.methods)
    return f"{count} GPU{'s' if count != 1 else ''}"


def ranks_of(run: Run) -> str:
    """Return how many ranks a run has, in words."""
    return f"{run.world_size} rank{'s' if run.world_size != 1 else ''}"


def _by_component(channels: Mapping[str, str], word: str) -> str:
    found: dict[str, dict[str, None]] = {}
    for channel, said in channels.items():
        found.setdefault(component_of(channel), {})[said] = None
    return ", ".join(f"{name} {word} {' and '.join(sorted(said))}" for name, said in sorted(found.items()))


# What must be the same in all runs, and what its difference is called.
_SAME: tuple[tuple[str, Callable[[Run], str]], ...] = (
    ("other components are included", components_of),
    ("the measuring methods differ", methods_of),
    ("the energy is not that of the same processes", attribution_of),
    ("the hardware differs", gpus_of),
    ("the hardware differs", ranks_of),
)


def doubts(one: Side, other: Side, *, same_hardware: bool = False) -> list[str]:
    """Return why a difference of two groups' energy cannot be told to come from what their runs did.

    Args:
        one: A group.
        other: The other one.
        same_hardware: Whether the user states that the hosts are equal.
    """
    return [*unlike(one, other, same_hardware=same_hardware), *_few(one, other)]


def unlike(one: Side, other: Side, *, same_hardware: bool = False) -> Iterator[str]:
    """Return in what the two groups' runs are measured differently; see :func:`doubts`."""
    for title, say in _SAME:
        mine, its = _values(one.runs, say), _values(other.runs, say)
        if len({*mine, *its}) > 1:
            yield f"{title} ({' or '.join(mine)} in {one.name}, {' or '.join(its)} in {other.name})"
    hosts, others = ({host for run in side.runs for host in run.hosts} for side in (one, other))
    if hosts.isdisjoint(others) and not same_hardware:
        yield "the runs were on different hosts, or on one before and after a reboot"
    partial = [run.id for run in (*one.runs, *other.runs) if len(run.ranks) < run.world_size]
    if partial:
        yield f"ranks are missing in {some(partial, 'run')}"
    ids = {run.id for run in (*one.runs, *other.runs)}
    inner = [run.id for run in (*one.runs, *other.runs) if any(part.parent in ids for part in run.portions)]
    if inner:
        yield f"one was measured inside the other ({some(inner, 'run')})"


def _few(one: Side, other: Side) -> Iterator[str]:
    single = [side.name for side in (one, other) if len(side.figures) == 1]
    if single:
        are = "are each" if len(single) > 1 else "is"
        yield f"{' and '.join(single)} {are} a single run, so how far repeats differ is not known"


def epoch_doubts(one: Side, other: Side) -> list[str]:
    """Return why energy for each epoch cannot be compared: epochs of different length or with different stages."""
    found = []
    mine, its = ([each.samples for each in side.figures if each.samples is not None] for side in (one, other))
    counts = [*mine, *its]
    if mine and its and max(counts) - min(counts) > _SAME_EPOCH * max(counts):
        found.append(f"epochs differ in length ({_span(mine)} samples in {one.name}, {_span(its)} in {other.name})")
    stages = [
        _values_of(", ".join(sorted(each.stages)) for each in side.figures if each.epochs) for side in (one, other)
    ]
    if all(stages) and len({*stages[0], *stages[1]}) > 1:
        said = (f"{' or '.join(each)} in {side.name}" for each, side in zip(stages, (one, other), strict=True))
        found.append(f"epochs have different stages ({', '.join(said)})")
    return found


def cautions(one: Side, other: Side) -> list[str]:
    """Return what else a reader must know of a comparison."""
    return list(dict.fromkeys(_cautions(one, other)))


def _cautions(one: Side, other: Side) -> Iterator[str]:
    factors = [_values(side.runs, _factors_of) for side in (one, other)]
    if len({*factors[0], *factors[1]}) > 1:
        yield (
            f"CO2e is not compared: the carbon intensities or the PUE differ ({' or '.join(factors[0])} in {one.name}, "
            f"{' or '.join(factors[1])} in {other.name})"
        )
    runs = [*one.runs, *other.runs]
    devices, others = ({name for run in side.runs for name in run.methods if ":" in name} for side in (one, other))
    if devices != others and len(devices) == len(others):
        yield f"other devices of the same number were used in {one.name} and {other.name}"
    shared = [run.id for run in runs if run.shared_with]
    if shared:
        yield f"devices were shared with other runs in {some(shared, 'run')}"
    divided = [run.id for run in runs if run.siblings]
    if divided:
        yield f"energy was divided among runs of one process, by threads and time, in {some(divided, 'run')}"
    failed = [run.id for run in runs if run.failures]
    if failed:
        yield f"something could not be measured in {some(failed, 'run')}; `eco2ai report` names it"
    open_ends = [run.id for run in runs if run.states not in ((), ("finished",))]
    if open_ends:
        yield f"not finished: {some(open_ends, 'run')}"
    cut = [each.run.id for side in (one, other) for each in side.figures if each.open_epochs]
    if cut:
        yield f"epochs that were cut off are left out in {some(cut, 'run')}"
    estimated = sorted({method for run in runs for part in run.methods.values() for method in part} - _measured(runs))
    if estimated:
        yield f"estimated, so a difference is only as good as the model: {', '.join(estimated)}"


def _factors_of(run: Run) -> str:
    known = [each for each in run.factors if each.g_per_kwh is not None]
    # A live source has a figure for each hour.
    kinds = dict.fromkeys((said_of(each), each.region, each.pue) for each in known)
    figures = [f"{each.g_per_kwh:.4g} g/kWh" for each in known]
    said = (f"{kind} {region}{f' with PUE {pue:g}' if pue != 1 else ''}" for kind, region, pue in kinds)
    figure = "a figure for each hour" if len(figures) > len(kinds) else " and ".join(figures)
    return f"{' and '.join(said)}: {figure}" if known else "none"


def _measured(runs: Iterable[Run]) -> set[str]:
    return {method for run in runs for method in run.hardware}


def _values(runs: Iterable[Run], say: Callable[[Run], str]) -> list[str]:
    return _values_of(map(say, runs))


def _values_of(found: Iterable[str]) -> list[str]:
    """Return the different texts, the first ones of many."""
    kept = list(dict.fromkeys(found))
    return kept if len(kept) <= 3 else [*kept[:3], f"{len(kept) - 3} others"]


def _span(counts: Sequence[float]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
