"""The run of a launch, which goes on where ``torchrun`` restarts its ranks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from eco2ai_callbacks.distributed.launcher import launched_id, launched_ids, restarts
from eco2ai_callbacks.distributed.messages import ProposedRun
from eco2ai_callbacks.host.registry import Registry
from eco2ai_callbacks.runlog.ends import SessionEnd, ends_in
from eco2ai_callbacks.runlog.paths import files_of


@dataclass(frozen=True, slots=True)
class Launch:
    """This process's place in a launch, and what can be known of the launch's runs.

    Args:
        environ: The launcher's variables.
        host: Hash of the host's boot id.
        number: Number of trackers that this process has started before: each is a run of its own.
        rank: Number of this process.
        log: The run log; ``None`` where none is written.
        registry: Folder of the running trackers.
    """

    environ: Mapping[str, str]
    host: str
    number: int
    rank: int
    log: Path | None
    registry: Path | None = None

    def of_rank(self) -> ProposedRun | None:
        """Return the run of a rank that proposes it without the others; ``None`` without a launcher.

        All ranks compute the same id. After a restart it is the id of before, unless that run has finished.
        """
        present = launched_id(self.environ, self.host, self.number)
        if present is None or not restarts(self.environ):
            return None if present is None else ProposedRun(present)
        for run in self._earlier():
            ends = self._ends(run)
            own = [end for end in ends if end.rank == self.rank]
            if ends and all(_is_open(end) for end in own):
                return ProposedRun(run, True)
        return ProposedRun(present)

    def of_job(self) -> ProposedRun | None:
        """Return the run that one rank proposes for all of them; ``None`` outside of ``torchrun``.

        It is the unfinished run of this launch in the log, whose ranks were restarted, or fewer or more than now. A run
        that has begun and is not over, such as that of a parent process, is not continued.
        """
        earlier = self._earlier()
        if not earlier:
            return None
        for run in earlier:
            ends = self._ends(run)
            if ends:
                goes_on = all(_is_open(end) for end in ends if end.rank == 0) and run not in self._living()
                return ProposedRun(run, True) if goes_on else None
        return ProposedRun(earlier[0])

    def _earlier(self) -> tuple[str, ...]:
        """Return the ids that the launch's run has had before the first restart, the most likely one first."""
        if restarts(self.environ) is None:
            return ()
        return launched_ids({**self.environ, "TORCHELASTIC_RESTART_COUNT": "0"}, self.host, self.number)

    def _ends(self, run: str) -> list[SessionEnd]:
        files = [] if self.log is None else files_of(self.log)
        return [end for file in files for end in ends_in(file, run).by_rank.values()]

    def _living(self) -> Collection[str]:
        return {entry.run for entry in Registry(self.host, self.registry).living()}


def _is_open(end: SessionEnd) -> bool:
    """Return whether a session was killed or interrupted."""
    return end.ended in (None, "interrupted")
