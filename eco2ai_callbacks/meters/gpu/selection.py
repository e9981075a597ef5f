"""Choose the GPUs to measure: those that CUDA shows to this process, or those that the setting ``gpus`` names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from eco2ai_callbacks.errors import MeterUnavailable, SettingsError

# The name of a board whose own cannot be read.
UNNAMED = "NVIDIA GPU"
_ACCEPTED = "'auto', 'visible', 'all', (), or indices or UUIDs"


@dataclass(frozen=True, slots=True)
class MigDevice:
    """A slice of a board in NVIDIA's multi-instance mode, which is a device of its own.

    Args:
        uuid: ``MIG-...``.
        gpu_instance: Number of its GPU instance.
        compute_instance: Number of its compute instance within that.
        slices: Number of its compute slices; ``None`` where the driver does not report it.
    """

    uuid: str
    gpu_instance: int
    compute_instance: int
    slices: int | None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One board, as the driver lists it.

    Args:
        index: Its number in NVML's order, which is that of the PCI bus and of ``nvidia-smi``.
        uuid: ``GPU-...``.
        name: The model's name.
        mig_slices: Compute slices that the board can be cut into; 0 where multi-instance mode is off.
        mig: The slices that exist.
    """

    index: int
    uuid: str
    name: str
    mig_slices: int = 0
    mig: tuple[MigDevice, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A board or one slice of it: the device of one channel."""

    gpu: Gpu
    mig: MigDevice | None = None

    @property
    def uuid(self) -> str:
        """The slice's own UUID, or the board's."""
        return self.gpu.uuid if self.mig is None else self.mig.uuid

    @property
    def share(self) -> float | None:
        """The part of the board's energy that is this part's, by compute slices; ``None`` where it is unknown."""
        if self.mig is None:
            return 1.0
        return self.mig.slices / self.gpu.mig_slices if self.mig.slices and self.gpu.mig_slices else None

    def described(self, whole: str = "device") -> str:
        """Return which part of the board this is; empty where it is all of it.

        Args:
            whole: What the board is called.
        """
        return "" if self.mig is None else f"MIG {self.mig.slices}/{self.gpu.mig_slices} of {whole}"


@dataclass(frozen=True, slots=True)
class Choice:
    """The GPUs to measure.

    Args:
        parts: Boards and slices, each once.
        rule: How they were chosen: ``auto: framework``, ``auto: processes``, ``auto: visible``, ``visible``, ``all``
            or ``named``.
        missing: Indices of boards that were named and that this process may not use.
    """

    parts: tuple[Part, ...]
    rule: str
    missing: tuple[int, ...] = ()


def parse_visible(value: str) -> tuple[int | str, ...]:
    """Return the entries of ``CUDA_VISIBLE_DEVICES`` that CUDA accepts: those before the first invalid one.

    The rules are those of the CUDA programming guide (environment variables) and, where it is silent, PyTorch's
    (``test_cuda_nvml_based_avail.py``): a number is read as far as it goes, a list that begins with ``GPU-`` or
    ``MIG-`` holds only such entries, and a repetition hides everything.

    Example:
        >>> parse_visible("2, 0, -1, 1")
        (2, 0)
    """
    words = [word.strip() for word in value.split(",")]
    kind = words[0][:4]
    entries: list[int | str] = []
    for word in words:
        entry: int | str | None
        if kind in ("GPU-", "MIG-"):
            entry = word if word.startswith(kind) else None
        else:
            number = re.match(r"[+-]?\d+", word)
            entry = int(number[0]) if number and int(number[0]) >= 0 else None
        if entry is None:
            break
        if entry in entries:
            return ()
        entries.append(entry)
    return tuple(entries)


def hides_all(environ: Mapping[str, str]) -> bool:
    """Return whether the environment hides all GPUs from CUDA."""
    value = environ.get("CUDA_VISIBLE_DEVICES")
    return value is not None and not parse_visible(value)


def visible(gpus: Sequence[Gpu], environ: Mapping[str, str]) -> tuple[Part, ...]:
    """Return the devices that CUDA shows to a process with this environment, in its order.

    CUDA shows either whole boards or a single MIG slice, the first (NVIDIA's MIG user guide, "CUDA device
    enumeration").

    Args:
        gpus: The boards that this process may use, in NVML's order.
        environ: ``CUDA_VISIBLE_DEVICES`` and ``CUDA_DEVICE_ORDER`` are read.

    Raises:
        MeterUnavailable: Where a number may mean different boards in CUDA's order and in NVML's.
    """
    # A board in multi-instance mode without any instance is no CUDA device.
    listed = [gpu for gpu in gpus if not gpu.mig_slices or gpu.mig]
    value = environ.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return _first_slice_alone([_as_seen(gpu) for gpu in listed])
    parts: list[Part] = []
    for entry in parse_visible(value):
        part = _as_numbered(listed, entry) if isinstance(entry, int) else _as_spelt(listed, entry)
        if part is None:
            break
        if part in parts:  # two prefixes of one UUID
            return ()
        parts.append(part)
    if not value.strip().startswith(("GPU-", "MIG-")):
        _check_order(listed, len(parts), environ)
    return _first_slice_alone(parts)


def choose(
    setting: str | Sequence[int | str],
    gpus: Sequence[Gpu],
    *,
    unreadable: Sequence[int] = (),
    environ: Mapping[str, str],
    framework: Sequence[str] | None = None,
    in_use: Callable[[], Sequence[Part]] = tuple,
) -> Choice:
    """Return the GPUs that the setting asks for.

    Args:
        setting: The setting ``gpus``.
        gpus: The boards that this process may use, in NVML's order.
        unreadable: Indices of the boards that it may not use.
        environ: The environment, for ``CUDA_VISIBLE_DEVICES``.
        framework: UUIDs of the devices that the framework trains on, where it reports them.
        in_use: Finds the parts on which processes of the job run; called only where the framework reports none.

    Raises:
        SettingsError: Where an index or UUID is named that does not exist.
        MeterUnavailable: Where nothing is selected.
    """
    if setting == "all":
        choice = Choice(tuple(Part(gpu) for gpu in gpus), "all", tuple(unreadable))
    elif setting == "visible":
        choice = Choice(visible(gpus, environ), "visible")
    elif setting == "auto":
        choice = _automatic(gpus, environ, framework or (), in_use)
    else:
        choice = _named(gpus, [setting] if isinstance(setting, str) else setting, unreadable)
    if not choice.parts and not choice.missing:
        raise MeterUnavailable("no GPU is selected")
    return choice


def _automatic(
    gpus: Sequence[Gpu], environ: Mapping[str, str], framework: Sequence[str], in_use: Callable[[], Sequence[Part]]
) -> Choice:
    everything = _everything(gpus)
    # CUDA reports a device's UUID without NVML's prefix.
    wanted = {_bare(uuid) for uuid in framework}
    trained_on = tuple(part for part in everything if _bare(part.uuid) in wanted)
    if trained_on:
        return Choice(_without_nested(trained_on), "auto: framework")
    if used := tuple(in_use()):
        return Choice(_without_nested(used), "auto: processes")
    return Choice(visible(gpus, environ), "auto: visible")


def _named(gpus: Sequence[Gpu], names: Sequence[int | str], unreadable: Sequence[int]) -> Choice:
    parts: dict[Part, None] = {}
    missing: dict[int, None] = {}
    for name in names:
        if isinstance(name, int) and name in unreadable:
            missing[name] = None
            continue
        if isinstance(name, int):
            found = next((Part(gpu) for gpu in gpus if gpu.index == name), None)
        else:
            found = _as_spelt(gpus, name, whole=True)
        if found is None:
            here = ", ".join(f"{part.gpu.index} = {part.uuid}" for part in _everything(gpus)) or "none"
            raise SettingsError(f"{name!r} is no GPU of this machine; accepted are {_ACCEPTED} of: {here}")
        parts[found] = None
    return Choice(_without_nested(tuple(parts)), "named", tuple(missing))


def _everything(gpus: Sequence[Gpu]) -> list[Part]:
    return [part for gpu in gpus for part in (Part(gpu), *(Part(gpu, mig) for mig in gpu.mig))]


def _without_nested(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts without slices of boards that are included as a whole, lest their energy count twice."""
    whole = {part.gpu.uuid for part in parts if part.mig is None}
    return tuple(part for part in parts if part.mig is None or part.gpu.uuid not in whole)


def _as_seen(gpu: Gpu) -> Part:
    """Return what CUDA shows of a board: itself, or its first slice."""
    return Part(gpu, gpu.mig[0]) if gpu.mig else Part(gpu)


def _first_slice_alone(parts: Sequence[Part]) -> tuple[Part, ...]:
    return next(((part,) for part in parts if part.mig is not None), tuple(parts))


def _as_numbered(gpus: Sequence[Gpu], number: int) -> Part | None:
    # Boards that a control group hides have no number in CUDA: its numbers count the listed boards.
    return _as_seen(gpus[number]) if number < len(gpus) else None


def _as_spelt(gpus: Sequence[Gpu], text: str, *, whole: bool = False) -> Part | None:
    """Return the one part that a UUID, its beginning, or ``MIG-GPU-<uuid>/<gi>/<ci>`` identifies."""
    if text.startswith("MIG-GPU-"):
        uuid, _, instances = text.removeprefix("MIG-").partition("/")
        found = [
            Part(gpu, mig)
            for gpu in gpus
            for mig in gpu.mig
            if gpu.uuid.startswith(uuid) and f"{mig.gpu_instance}/{mig.compute_instance}" == instances
        ]
    elif text.startswith("MIG-"):
        found = [Part(gpu, mig) for gpu in gpus for mig in gpu.mig if mig.uuid.startswith(text)]
    elif text.startswith("GPU-"):
        found = [Part(gpu) if whole else _as_seen(gpu) for gpu in gpus if gpu.uuid.startswith(text)]
    else:
        found = []
    return found[0] if len(found) == 1 else None


def _check_order(gpus: Sequence[Gpu], taken: int, environ: Mapping[str, str]) -> None:
    """Raise where numbers are ambiguous: CUDA orders boards by speed, NVML by the PCI bus."""
    names = {gpu.name for gpu in gpus}
    one_model = len(gpus) <= 1 or (len(names) == 1 and UNNAMED not in names)
    if not one_model and taken < len(gpus) and environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID" and taken:
        raise MeterUnavailable(
            "CUDA_VISIBLE_DEVICES numbers GPUs of different models in an order that only CUDA knows",
            "export CUDA_DEVICE_ORDER=PCI_BUS_ID",
        )


def _bare(uuid: str) -> str:
    return re.sub(r"^(GPU-|MIG-)", "", uuid).lower()
