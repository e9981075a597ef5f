"""What both calibrations share: the steps with a progress bar, and keeping the fit."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click

from eco2ai_callbacks.calibration.fit import CpuFit
from eco2ai_callbacks.calibration.loads import Load, WorkerError, Workers, usable_cpus
from eco2ai_callbacks.calibration.machine import Machine, read_machine
from eco2ai_callbacks.calibration.store import SITE_FILE, Entry, append, choose, default_files, read, user_file
from eco2ai_callbacks.calibration.sweep import LoadSource, Sample, Step, complaints, run
from eco2ai_callbacks.calibration.wall import WallFit
from eco2ai_callbacks.host.machine import Host, read_host
from eco2ai_callbacks.host.package import package_version
from eco2ai_callbacks.settings.files import home_folder


@dataclass(frozen=True, slots=True)
class Bench:
    """The machine on which a calibration runs, and what it is run with.

    Args:
        host: The machine.
        root: The root of the file system, below which procfs and sysfs are mounted.
        clock: Monotonic seconds.
        sleep: Waits.
        load: Makes what puts loads on these hardware threads, and on the GPUs.
        cpus: The hardware threads that may be used.
        today: The day.
    """

    host: Host
    root: Path = Path("/")
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    load: Callable[[Sequence[int], bool], LoadSource] = Workers
    cpus: Sequence[int] = ()
    today: date = date.min

    @property
    def machine(self) -> Machine:
        """The machine as a calibration names it."""
        return read_machine(self.host, self.root / "sys")


def this_bench() -> Bench:
    """Return this machine."""
    return Bench(read_host(), cpus=usable_cpus(), today=date.today())


def check(bench: Bench) -> None:
    """Raise a sentence where the loads cannot be put on the whole machine.

    Args:
        bench: The machine.
    """
    host = bench.host
    if host.system != "Linux":
        raise click.ClickException(f"calibrations need Linux; this is {host.system}")
    if view := host.sandbox or ("lxcfs" if host.lxcfs else ""):
        raise click.ClickException(f"under {view} the machine's load cannot be read: calibrate on the host itself")
    usable = min(len(bench.cpus), host.allowed_threads)
    if usable < host.threads:
        raise click.ClickException(
            f"only {usable:g} of the machine's {host.threads} threads may be used here (affinity, cpuset or quota): "
            "calibrate outside of the container or job"
        )


def measure(
    bench: Bench,
    loads: Sequence[Load],
    sample: Callable[[], Sample],
    settle_s: float,
    step_s: float,
    *,
    wait: Callable[[float], None] | None = None,
    during: Callable[[Load], None] | None = None,
) -> list[Step]:
    """Return the measured steps, with a progress bar meanwhile and a sentence for each doubt afterwards.

    Args:
        bench: The machine.
        loads: The loads.
        sample: Reads what is measured.
        settle_s: Seconds between a change of load and its measurement.
        step_s: Seconds of each measurement.
        wait: Waits instead of the bench's own ``sleep``.
        during: Runs while each load is on; the bar is left out, for it asks a question.
    """
    count = len(loads)
    click.echo(f"{count} loads, about {count * (settle_s + step_s) / 60:.1f} minutes; keep other programs quiet.")
    with contextlib.ExitStack() as shown:
        if during is None:
            bar = shown.enter_context(click.progressbar(length=count, label=f"{'idle':<20}", show_pos=True))

        def progress(number: int, load: Load) -> None:
            if during is None:
                bar.label = f"{load.label:<20}"
                bar.update(1 if number else 0)
            else:
                click.echo(f"{number + 1}/{count}: {load.label}")

        try:
            source = bench.load(bench.cpus, any(load.gpu for load in loads))
            steps = run(
                loads,
                source,
                sample,
                settle_s=settle_s,
                step_s=step_s,
                sleep=wait or bench.sleep,
                progress=progress,
                during=during,
            )
        except WorkerError as why:
            raise click.ClickException(str(why)) from None
        if during is None:
            bar.update(1)
    for sentence in complaints(steps, bench.host.threads):
        click.echo(click.style(f"Note: {sentence}.", fg="yellow"))
    return steps


def keep(fit: CpuFit | WallFit, bench: Bench, file: Path | None) -> Path:
    """Store a fit, and check that later runs will find it; where it cannot be stored, its line is printed.

    Args:
        fit: The fit.
        bench: The machine.
        file: The file; by default the site's for root, and the user's own for others.
    """
    entry = Entry(bench.machine, fit, bench.today, package_version())
    home = home_folder()
    path = file or (SITE_FILE if _is_root() or home is None else user_file(home))
    try:
        append(path, entry, public=path == SITE_FILE)
    except OSError as error:
        click.echo(entry.line())
        raise click.ClickException(
            f"the calibration above cannot be written to {path} ({error.strerror}); name another file by --file, or "
            "add the line to it"
        ) from None
    found = choose(read([path]), entry.kind, entry.machine).entry
    if found is None or found.line() != entry.line():
        raise click.ClickException(
            f"the calibration was written to {path}, but will not be used: only you or root may be able to write that "
            "file and its folders"
        )
    if path not in default_files():
        click.echo(f"{path} is not read by itself: put the line into {' or '.join(map(str, default_files()))}.")
    return path


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
