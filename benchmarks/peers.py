"""The packages that are compared, and how each is used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """One package of the comparison.

    Args:
        name: Its name in the table.
        requirement: What ``pip`` installs; ``None`` for the package of this repository.
        tracker: Its module in ``benchmarks/probes/trackers``.
        mark: The call that closes one epoch.
        offline: How it is kept from the network.
    """

    name: str
    requirement: str | None
    tracker: str
    mark: str
    offline: str


OURS = Peer(
    name="eco2ai_callbacks",
    requirement=None,
    tracker="eco2ai_callbacks_",
    mark="`Tracker.end_epoch()`",
    offline="uses no network",
)

PEERS = (
    OURS,
    Peer(
        name="codecarbon",
        requirement="codecarbon",
        tracker="codecarbon_",
        mark="`flush()`",
        offline="`OfflineEmissionsTracker(country_iso_code=...)`",
    ),
    Peer(
        name="carbontracker",
        requirement="carbontracker",
        tracker="carbontracker_",
        mark="`epoch_end()`, then `epoch_start()`",
        offline="has no switch: it asks ipinfo.io for the place, and takes the world's average without an answer",
    ),
    Peer(
        name="eco2ai",
        requirement="eco2ai",
        tracker="eco2ai_",
        mark="`new_epoch({})` after `start_training()`",
        offline="`Tracker(alpha_2_code=...)`",
    ),
    Peer(
        name="zeus",
        requirement="zeus",
        tracker="zeus_",
        mark="`end_window(name)`, then `begin_window(name)`",
        offline="uses no network here",
    ),
    Peer(
        name="pyJoules",
        requirement="pyJoules",
        tracker="pyjoules_",
        mark="`EnergyMeter.record(tag)`",
        offline="uses no network",
    ),
    Peer(
        name="landauer-gap",
        requirement="landauer-gap",
        tracker="landauer_gap_",
        mark="`Session.end(phase)`, then `Session.begin(name)`",
        offline="uses no network without `track=`; `DO_NOT_TRACK=1` is set",
    ),
)


def chosen(names: Iterable[str]) -> tuple[Peer, ...]:
    """Return the peers of these names, ours always first; all of them for no name.

    Raises:
        ValueError: A name is none of a peer.
    """
    wanted = {name.lower() for name in names}
    known = {peer.name.lower() for peer in PEERS}
    if wanted - known:
        raise ValueError(f"--peers: {', '.join(sorted(wanted - known))} is not one of {', '.join(sorted(known))}.")
    return tuple(peer for peer in PEERS if not wanted or peer is OURS or peer.name.lower() in wanted)
