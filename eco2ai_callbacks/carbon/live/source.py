"""The protocol of a live source, and what its replies are read with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable

from eco2ai_callbacks.carbon.series import Span
from eco2ai_callbacks.errors import SettingsError

_HIGHEST_G = 5000.0


class Unusable(Exception):
    """A source gave no figures that can be used; the text is the reason, as one clause without any secret.

    Args:
        reason: The reason.
        wait_s: How long the source asks to wait, in seconds; ``None`` where it asks nothing.
    """

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Request:
    """A request by HTTP GET.

    Args:
        url: Address without parameters.
        params: Parameters.
        secret: Headers that hold a token; never shown.
        secret_params: Parameters that hold a token; never shown.
        is_json: Whether the reply is JSON, and not a text.
    """

    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_params: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_json: bool = True


@runtime_checkable
class WithLogin(Protocol):
    """A source that gives a token for user and password."""

    def login(self, credential: str) -> Request:
        """Return what to ask a token for.

        Args:
            credential: User and password, with ``:`` between them.
        """
        ...

    def token(self, reply: Any) -> str:
        """Return the token of the reply.

        Raises:
            Unusable: There is none.
        """
        ...


class Source(Protocol):
    """A live source for one place."""

    @property
    def title(self) -> str:
        """The source with its zone, as records name it."""
        ...

    @property
    def key(self) -> str:
        """Source, zone and kind as a file name: what is kept on the disk by this name is the same for all."""
        ...

    @property
    def kind(self) -> str:
        """Kind of its figures."""
        ...

    @property
    def refresh_s(self) -> float:
        """How long its figures are used before it is asked again: 15 to 60 minutes."""
        ...

    @property
    def token_names(self) -> tuple[str, ...]:
        """The variables, and in lower case the keyring's users, that hold its token, or user and password."""
        ...

    def requests(self, now_s: float, token: str, *, forecast: bool) -> Sequence[Request]:
        """Return what to ask for. Later replies count before earlier ones, where both have a time.

        Args:
            now_s: The time, in Unix seconds.
            token: The token, or user and password with ``:`` between them; empty where none is needed.
            forecast: Whether figures of the next days are asked for, and not only those of now and before.
        """
        ...

    def spans(self, reply: Any) -> list[Span]:
        """Return the figures of a reply.

        Args:
            reply: Its JSON value, or its text.

        Raises:
            Unusable: It is not what the source is known to send, or is for another place.
        """
        ...


def unknown_place(name: str, known: str, region: str) -> SettingsError:
    """Return the error for a place that a source does not know.

    Args:
        name: The source's name in the setting.
        known: What it knows.
        region: The place.
    """
    return SettingsError(f"intensity='live:{name}' knows {known} alone, and region={region!r} is not in it")


def check_kind(name: str, kind: str, own: str) -> None:
    """Check that a source with figures of one kind is not asked for another.

    Args:
        name: The source's name in the setting.
        kind: The setting ``intensity_kind``.
        own: The kind of its figures.

    Raises:
        SettingsError: It is.
    """
    if kind not in ("best", own):
        raise SettingsError(f"intensity='live:{name}' has {own} figures, no intensity_kind={kind!r}")


def spans_of(
    found: Iterable[Mapping[str, Any]], time: str, value: str, length_s: float, *, utc: bool = False
) -> list[Span]:
    """Return the figures of a reply's rows that have one.

    Args:
        found: The rows.
        time: Name of the member with the time at which a row's span begins.
        value: Name of the member with the figure in g/kWh.
        length_s: Length of each span, in seconds.
        utc: Whether a time without an offset is in UTC.

    Raises:
        Unusable: A row's time or figure is none.
    """
    result = []
    for row in found:
        g_per_kwh = figure(row.get(value))
        if g_per_kwh is not None:
            begin_s = moment(row.get(time), utc=utc)
            result.append(Span(begin_s, begin_s + length_s, g_per_kwh))
    return result


def rows(reply: Any, name: str) -> list[Mapping[str, Any]]:
    """Return the objects in a reply's list.

    Args:
        reply: The reply's JSON value.
        name: Name of the list.

    Raises:
        Unusable: There is no such list.
    """
    found = reply.get(name) if isinstance(reply, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise Unusable(f"its reply has no list {name!r}")
    return found


def figure(value: Any) -> float | None:
    """Return a number of g/kWh; ``None`` for a missing one.

    Raises:
        Unusable: It is no number, or one that is no intensity.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unusable(f"its reply has {value!r:.40} where g/kWh belong")
    if not 0 <= value <= _HIGHEST_G:
        raise Unusable(f"its reply has {value!r} g/kWh, which is no intensity")
    return float(value)


def moment(value: Any, *, utc: bool = False) -> float:
    """Return a time in Unix seconds.

    Args:
        value: An ISO text.
        utc: Whether a text without an offset is in UTC.

    Raises:
        Unusable: It is no time.
    """
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is None and utc:
            found = found.replace(tzinfo=UTC)
        if found.tzinfo is None:
            raise ValueError
        return found.timestamp()
    except (TypeError, ValueError, OverflowError):
        raise Unusable(f"its reply has {value!r:.40} where a time belongs") from None


def stamp(seconds: float, step_s: float) -> str:
    """Return a time in UTC as ``2026-01-31T18:00Z``, rounded down to a step."""
    return datetime.fromtimestamp(seconds // step_s * step_s, UTC).strftime("%Y-%m-%dT%H:%MZ")
