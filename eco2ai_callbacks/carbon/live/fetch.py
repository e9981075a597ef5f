"""Requests to live sources, with limits of time and size; needs the extra ``live``."""

from __future__ import annotations

import email.utils
import importlib.util
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from eco2ai_callbacks.carbon.live.source import Request, Unusable
from eco2ai_callbacks.errors import SettingsError

# In seconds: for each step of a request, and for all of it.
STEP_S, WHOLE_S = 10.0, 30.0
# Two days of five-minute figures have some 200 kB.
LARGEST = 5 * 2**20
# A source that says when to come back is believed within these bounds, in seconds.
LEAST_WAIT_S, LONGEST_WAIT_S = 60.0, 6 * 3600.0
# A refused token does not become valid by asking again.
REFUSED_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply.

    Args:
        value: Its JSON value, or its text.
        ahead_s: By how many seconds this machine's clock is ahead of the server's; 0 where that is not known.
    """

    value: Any
    ahead_s: float = 0.0


def check_extra() -> None:
    """Check that the extra is installed.

    Raises:
        SettingsError: It is not.
    """
    missing = [name for name in ("httpx", "platformdirs") if importlib.util.find_spec(name) is None]
    if missing:
        raise SettingsError(
            f'live sources of carbon intensity need {" and ".join(missing)}: pip install "eco2ai_callbacks[live]"'
        )


def get(request: Request, *, step_s: float = STEP_S, whole_s: float = WHOLE_S) -> Reply:
    """Return the reply to a request.

    Args:
        request: The request.
        step_s: Longest time for one step: to connect, to send, to receive a part.
        whole_s: Longest time for all of it.

    Raises:
        Unusable: There is none, or it is too large, too slow, or no JSON.
    """
    import httpx

    ends = time.monotonic() + whole_s
    params = {**request.params, **request.secret_params}
    try:
        # No redirects: a token goes to no other host.
        with (
            _unlogged(),
            httpx.Client(timeout=step_s, follow_redirects=False) as client,
            client.stream("GET", request.url, params=params, headers=dict(request.secret)) as response,
        ):
            _check_status(response.status_code, response.headers.get("Retry-After"))
            content = bytearray()
            for part in response.iter_bytes():
                content += part
                if len(content) > LARGEST:
                    raise Unusable(f"its reply is larger than {LARGEST >> 20} MiB")
                if time.monotonic() > ends:
                    raise Unusable(f"its reply was not complete after {whole_s:g} s")
            date = response.headers.get("Date")
    except httpx.TimeoutException:
        raise Unusable(f"it did not answer within {step_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        # The name alone: a text may hold what was sent.
        raise Unusable(f"it cannot be reached ({type(error).__name__})") from None
    if not request.is_json:
        return Reply(bytes(content).decode("utf-8", "replace"), _ahead_s(date))
    try:
        value = json.loads(bytes(content))
    except (ValueError, RecursionError):
        raise Unusable("its reply is no JSON") from None
    return Reply(value, _ahead_s(date))


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep this thread's requests out of the log of ``httpx``, which writes whole addresses, with tokens in them."""
    thread = threading.get_ident()

    def passes(record: logging.LogRecord) -> bool:
        return record.thread != thread

    log = logging.getLogger("httpx")
    log.addFilter(passes)
    try:
        yield
    finally:
        log.removeFilter(passes)


def _check_status(status: int, retry_after: str | None) -> None:
    """Check the status of a reply.

    Raises:
        Unusable: It is not 200.
    """
    if status == 200:
        return
    if status in (401, 403):
        raise Unusable(f"it refuses the token (HTTP {status})", REFUSED_WAIT_S)
    if status == 404:
        raise Unusable("it does not know the place (HTTP 404)", REFUSED_WAIT_S)
    wait_s = _wait_s(retry_after) if status in (429, 503) else None
    raise Unusable(f"it answers with HTTP {status}", wait_s)


def _wait_s(retry_after: str | None) -> float | None:
    """Return how long a source asks to wait: seconds or a date (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        seconds = float(retry_after)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, LEAST_WAIT_S), LONGEST_WAIT_S)


def _ahead_s(date: str | None) -> float:
    try:
        return 0.0 if date is None else time.time() - email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return 0.0
