"""Training steps between two epochs' ends: counted, and closed as windows of a given number."""

from __future__ import annotations

from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.metrics.scalars import UNITS, step_scalars
from eco2ai_callbacks.session.arguments import Arguments
from eco2ai_callbacks.session.lifetime import Lifetime
from eco2ai_callbacks.settings import Settings

# Number of the last step, number of steps, their samples and tokens, as records hold them.
Window = tuple[int, int, int | None, int | None]


class Steps:
    """The training steps of one process. Called after each, it returns the figures of a window where one ends.

    Windows follow each other without a gap: with what is left at an epoch's end they add up to the epoch. A window in
    which the slowest meter's figures have not changed yet is not closed: the next one holds its steps too. The GPU is
    not waited for, so what it has queued falls into the next window.

    Args:
        settings: ``every_n_steps`` and ``units``.
        guard: Records invalid arguments.
        lifetime: Lets the session close a window.

    Example:
        >>> from eco2ai_callbacks import Tracker
        >>> with Tracker(every_n_steps=100, log_file=None, console=False) as run:
        ...     for batch in ([1, 2], [3, 4]):
        ...         train()
        ...         figures = run.step(samples=len(batch))
        >>> figures  # no window of 100 steps has ended
        {}
    """

    def __init__(self, settings: Settings, guard: Guard, lifetime: Lifetime) -> None:
        self._every = settings.every_n_steps
        self._units = UNITS[settings.units]
        self._arguments = Arguments(guard)
        self._lifetime = lifetime
        self._number = 0
        self._counts = _Counts()
        # From how many steps on a window is to be closed.
        self._due = self._every

    @property
    def wanted(self) -> bool:
        """Whether steps are counted."""
        return self._every > 0

    def __call__(
        self, samples: int | None = None, tokens: int | None = None, *, number: int | None = None, steps: int = 1
    ) -> dict[str, float]:
        """Count a step; return the scalars of the window that it ends, by the names that loggers show, else nothing.

        Args:
            samples: Its samples.
            tokens: Its tokens.
            number: Number of steps so far, by the framework; counted by default.
            steps: Number of steps of this call; 0 for a batch whose gradients are only accumulated.

        Raises:
            Eco2AIError: ``start`` was not called.
        """
        if not self._every:
            return {}
        self._number = self._number + steps if number is None else number
        counts, whole = self._counts, self._arguments.whole_number
        counts.add(steps, whole("samples", samples), whole("tokens", tokens))
        if counts.steps < self._due:
            return {}
        self._due = counts.steps + self._every
        window = counts.window(self._number)
        usage = self._lifetime.call("step", lambda session: session.close_steps(window), None, marks=False)
        if usage is None:
            return {}
        self._counts, self._due = _Counts(), self._every
        return step_scalars(usage, counts.steps, samples=counts.samples, tokens=counts.tokens, units=self._units)

    def rest(self) -> Window | None:
        """Return the steps since the last window, which end with an epoch; ``None`` where there are none."""
        counts, self._counts, self._due = self._counts, _Counts(), self._every
        return counts.window(self._number) if counts.steps else None


class _Counts:
    """Steps since the last window, and their samples and tokens as far as they are known of all of them."""

    __slots__ = ("_any", "samples", "steps", "tokens")

    def __init__(self) -> None:
        self._any = False
        self.steps = 0
        self.samples: int | None = None
        self.tokens: int | None = None

    def add(self, steps: int, samples: int | None, tokens: int | None) -> None:
        """Add what one call reports."""
        self.samples = _sum(self.samples, samples, first=not self._any)
        self.tokens = _sum(self.tokens, tokens, first=not self._any)
        self.steps += steps
        self._any = True

    def window(self, number: int) -> Window:
        """Return them as a record holds them."""
        return number, self.steps, self.samples, self.tokens


def _sum(known: int | None, more: int | None, *, first: bool) -> int | None:
    if more is None or (known is None and not first):
        return None
    return (known or 0) + more
