"""Sum up what a board may have drawn while its power was not sampled."""

from __future__ import annotations

from dataclasses import dataclass

# Without a sample for so many periods, and at least so many seconds, the power between the two samples is not known: a
# busy machine delays the thread by less.
GAP_PERIODS, GAP_S = 5, 1.0
# What a board may draw in such a gap where its limit cannot be read: this much more than it was seen to draw, and the
# limit of the largest boards without a counter (NVIDIA Tesla P100 and K80: 300 W).
UNKNOWN_FACTOR, UNKNOWN_W = 3.0, 300.0


@dataclass(slots=True)
class Gaps:
    """The times without a sample since a board was opened, and by how much they widen its band.

    Args:
        seconds: Their sum.
        longest_s: The longest of them.
        below_j: Joules by which they widen the band below.
        above_j: Joules by which they widen it above.
    """

    seconds: float = 0.0
    longest_s: float = 0.0
    below_j: float = 0.0
    above_j: float = 0.0

    def add(self, step_j: float, seconds: float, band: tuple[float, float], limit_w: float) -> None:
        """Add a gap in which the board drew anything between nothing and its limit.

        Args:
            step_j: The joules that were counted for it.
            seconds: Its length.
            band: Lower and upper end of the band that these joules have, as factors.
            limit_w: The most that the board draws.
        """
        low, high = band
        self.seconds += seconds
        self.longest_s = max(self.longest_s, seconds)
        self.below_j += step_j * low
        self.above_j += max(0.0, limit_w * seconds - step_j * high)

    def __str__(self) -> str:
        """Return them as one clause; it differs in its numbers only, so that a later one replaces an earlier."""
        return (
            f"its power was not sampled for {self.seconds:.1f} s in all, for {self.longest_s:.1f} s at a time; "
            "its band is as wide as what it may have drawn then"
        )


def is_gap(seconds: float, period_s: float) -> bool:
    """Return whether a time between two samples is a gap.

    Args:
        seconds: The time.
        period_s: The period at which power should be read.
    """
    return seconds > max(GAP_S, GAP_PERIODS * period_s)
