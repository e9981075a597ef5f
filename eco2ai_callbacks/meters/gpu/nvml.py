"""Read the energy of NVIDIA GPUs through NVML: by the board's counter where it has one, else by sampled power."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from eco2ai_callbacks.errors import Eco2AIError, MeterUnavailable
from eco2ai_callbacks.host.gpu_health import GpuLook
from eco2ai_callbacks.meters.gpu import nvml_driver as driver
from eco2ai_callbacks.meters.gpu.aside import Aside
from eco2ai_callbacks.meters.gpu.nvml_board import COUNTER_STEP_S, Answer, Board, open_board
from eco2ai_callbacks.meters.gpu.nvml_division import Division, divided
from eco2ai_callbacks.meters.gpu.nvml_domains import VIRTUAL_HINT, domains, is_guest
from eco2ai_callbacks.meters.gpu.nvml_driver import Listing, Nvml
from eco2ai_callbacks.meters.gpu.nvml_health import States
from eco2ai_callbacks.meters.gpu.nvml_library import require
from eco2ai_callbacks.meters.gpu.selection import Choice, Part, choose
from eco2ai_callbacks.meters.gpu.sharing import is_shared, own_processes, sees_host_pids
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.usage import Method


def open_nvml(
    gpus: str | Sequence[int | str] = "auto",
    *,
    sample_s: float = 0.5,
    environ: Mapping[str, str] = os.environ,
    job_pids: Callable[[], Collection[int]] = own_processes,
    used_by_framework: Sequence[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
    library: Nvml | None = None,
    proc: Path = Path("/proc"),
    alone: bool = True,
) -> NvmlMeter:
    """Open the GPUs that the setting ``gpus`` asks for.

    Args:
        gpus: ``auto`` (those that the framework trains on; else those on which the job's processes compute; else the
            visible ones), ``visible`` by ``CUDA_VISIBLE_DEVICES``, ``all``, indices or UUIDs.
        sample_s: Seconds between two reads where a board has no energy counter.
        environ: The environment, for ``CUDA_VISIBLE_DEVICES`` and ``CUDA_DEVICE_ORDER``.
        job_pids: Returns the processes of the job; none where the whole machine is measured.
        used_by_framework: UUIDs of the devices that the framework trains on, where it reports them.
        clock: Monotonic seconds.
        library: ``pynvml`` or a replacement.
        proc: Mount point of procfs.
        alone: Whether this process and its children are the whole job. Other ranks of it may use the same board, which
            one of them counts for all.

    Raises:
        MeterUnavailable: Where there is no driver, nothing is selected, or nothing can be read.
        SettingsError: Where an index or UUID is named that does not exist.

    Example:
        >>> from eco2ai_callbacks.testing import Clock, FakeGpu, FakeNvml
        >>> clock = Clock()
        >>> meter = open_nvml([0], clock=clock, library=FakeNvml(clock, FakeGpu("GPU-8932f937", watts=70.0)))
        >>> meter.read()
        {'gpu:GPU-8932f937': 0.0}
        >>> meter.close()
    """
    require(gpus, environ, used_by_framework, library)
    nvml = driver.load_nvml() if library is None else library
    driver.initialise(nvml)
    with contextlib.ExitStack() as stack:
        stack.callback(driver.ask, nvml, "nvmlShutdown")
        listing = driver.list_gpus(nvml)
        pids, host_pids = frozenset(job_pids()), sees_host_pids(proc)
        choice = choose(
            gpus,
            listing.gpus,
            unreadable=tuple(listing.unreadable),
            environ=environ,
            framework=used_by_framework,
            in_use=lambda: driver.parts_in_use(nvml, listing, pids) if host_pids else (),
        )
        boards, failures = _open_boards(nvml, listing, choice, clock)
        for board in boards:
            board.shared = frozenset(
                part.uuid
                for part in board.parts
                if is_shared(driver.processes(nvml, listing.handles[part.uuid]), pids, host_pids=host_pids)
            )
        ours = (lambda: frozenset(job_pids())) if pids and host_pids and alone else None
        divisions = [divided(board, ours) for board in boards]
        beside = ", ".join(
            f"GPU {board.gpu.index} {name} {watts:.0f} W"
            for board in boards
            for name, watts in domains(nvml, board.handle)
        )
        stack.pop_all()
    return NvmlMeter(nvml, divisions, choice.rule, failures, sample_s=sample_s, clock=clock, beside=beside)


class NvmlMeter:
    """The energy of some GPUs since they were opened; :func:`open_nvml` creates it.

    A read calls each board once. The counter is updated about every 100 ms, so a shorter interval may have no energy;
    that energy is in the next one, and the band of each edge includes it.

    Args:
        nvml: The library, initialised once for this meter.
        divisions: The boards to read, each with what divides its energy among its parts.
        rule: How they were chosen, as in :class:`~eco2ai_callbacks.meters.gpu.selection.Choice`.
        failures: What failed at opening.
        sample_s: Seconds between two reads where power is read.
        beside: What the boards show that is added to nothing.
        clock: Monotonic seconds.
    """

    name = "NVML"

    def __init__(
        self,
        nvml: Nvml,
        divisions: Sequence[Division],
        rule: str,
        failures: Sequence[str] = (),
        *,
        sample_s: float,
        beside: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nvml = nvml
        self._divisions = tuple(divisions)
        self._boards = tuple(division.board for division in divisions)
        self._sample_s = sample_s
        self._failures = tuple(failures)
        self._states = States(nvml, self._boards, clock)
        self._pid = os.getpid()
        self._reopened = False
        self._closed = False
        self._beside = beside
        self.rule = rule

    @property
    def covers(self) -> frozenset[str]:
        """``gpu``; on a Grace Hopper module also ``cpu`` and ``ram``, which are in the same counter."""
        return frozenset({"gpu", "cpu", "ram"} if any(board.module for board in self._boards) else {"gpu"})

    @property
    def max_gap_s(self) -> float:
        """The sampling period where power is integrated, or who keeps a board busy is sampled; infinite otherwise."""
        return self._sample_s if any(division.sampled for division in self._divisions) else math.inf

    @property
    def refresh_s(self) -> float:
        """How often the figures change, in seconds: by the counters' step, or the sampling period of a power."""
        boards = [board for board in self._boards if not board.retired]
        return max((COUNTER_STEP_S if board.counter else self._sample_s for board in boards), default=0.0)

    @property
    def methods(self) -> Mapping[str, Method]:
        """The method of each channel; the edges follow the power that was last read."""
        return {_channel(part): one.method(part) for one in self._divisions for part in one.board.parts}

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed, one sentence each."""
        return (*self._failures, *(failure for board in self._boards for failure in board.failures.values()))

    @property
    def behind(self) -> frozenset[str]:
        """The channels whose figures are older than the last read, since their boards did not answer it."""
        return frozenset(_channel(part) for board in self._boards if board.behind for part in board.parts)

    @property
    def devices(self) -> tuple[Device, ...]:
        """The board or slice of each channel, in the order of the channels."""
        return tuple(
            Device("nvidia", board.gpu.index, part.uuid, board.gpu.name)
            for board in self._boards
            for part in board.parts
        )

    @property
    def detail(self) -> str:
        """The boards, how each is read and how they were chosen, for ``doctor`` and the ``start`` record."""
        shown = ", ".join(
            f"{one.board.gpu.index}: {one.board.gpu.name} ({self._how(one.board)}, {one.method(part).attribution})"
            for one in self._divisions
            for part in one.board.parts
        )
        beside = f"; beside the figures, not added to them: {self._beside} (at the start)" if self._beside else ""
        return f"{shown}; chosen by {self.rule}{beside}"

    def read(self) -> Mapping[str, float]:
        """Return the joules of each channel since the meter was opened.

        Raises:
            Eco2AIError: Where no board is left, after :meth:`close`, and in a forked child.
        """
        if os.getpid() != self._pid:
            raise Eco2AIError("opened by another process; a forked child does not measure")
        if self._closed:
            raise Eco2AIError("read after it was closed")
        self._reopened = False
        joules: dict[str, float] = {}
        for one in self._divisions:
            if not one.board.retired and one.board.update(self._sample_s, self._reopen):
                one.update()
                joules.update((_channel(part), one.joules(part)) for part in one.board.parts)
        if not joules:
            raise Eco2AIError("no GPU is left that can be read")
        return joules

    @property
    def looks(self) -> bool:
        """Whether :meth:`look` may have something to report."""
        return self._states.wanted

    def look(self) -> Sequence[GpuLook]:
        """Return the load, clock and temperature of each board now, as far as its driver reports them."""
        return self._states.look() if os.getpid() == self._pid else ()

    def close(self) -> None:
        """Shut the library down, once, and only in the process that opened it."""
        if not self._closed and os.getpid() == self._pid:
            pending = [board.pending for board in self._boards if board.pending is not None]
            self._states.close(lambda: self._shut_down(pending))
        self._closed = True

    def _shut_down(self, pending: Sequence[Aside[Answer]]) -> None:
        """Shut the library down once all calls have returned: one that hangs would hold the caller up here."""
        if pending:
            pending[0].then(lambda: self._shut_down(pending[1:]))
        else:
            for division in self._divisions:
                division.close()
            driver.ask(self._nvml, "nvmlShutdown")

    def _how(self, board: Board) -> str:
        return "energy counter" if board.counter else f"power every {self._sample_s:g} s"

    def _reopen(self) -> bool:
        """Initialise the library again where other code in this process has shut it down: once a read at most."""
        if self._reopened or driver.ask(self._nvml, "nvmlInit")[1] is not None:
            return False
        self._reopened = True
        for board in self._boards:
            handle = driver.handle_of(self._nvml, board.gpu)
            board.handle = board.handle if handle is None else handle
        return True


def _channel(part: Part) -> str:
    return f"gpu:{part.uuid}"


def _open_boards(
    nvml: Nvml, listing: Listing, choice: Choice, clock: Callable[[], float]
) -> tuple[list[Board], list[str]]:
    """Return the chosen boards that can be read, and a sentence for each that cannot.

    Raises:
        MeterUnavailable: Where none can.
    """
    boards: list[Board] = []
    refused: list[tuple[str, str | None]] = []
    for index in choice.missing:
        code = listing.unreadable[index]
        refused.append((f"GPU {index}: {driver.reason(code)}", driver.hint(code)))
    for gpu in dict.fromkeys(part.gpu for part in choice.parts):
        label = f"GPU {gpu.index} ({gpu.name})"
        parts = tuple(part for part in choice.parts if part.gpu == gpu and part.share is not None)
        if not parts:
            refused.append((f"{label}: its slices of the board are not known", None))
            continue
        board, code = open_board(nvml, gpu, parts, listing.handles[gpu.uuid], clock)
        if board is None:
            why, hint = driver.reason(code), driver.hint(code)
            if code in driver.ABSENT:
                why = "it tells neither its energy nor its power"
                if is_guest(nvml, listing.handles[gpu.uuid]):
                    why, hint = f"it is a vGPU, and {why}", VIRTUAL_HINT
            refused.append((f"{label}: {why}", hint))
            continue
        boards.append(board)
    if not boards:
        raise MeterUnavailable(*refused[0])
    return boards, [f"NVML: {reason}" for reason, _ in refused]
