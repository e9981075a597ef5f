"""Read the power that a plug, PDU or BMC shows as JSON over HTTP, where the user names its address."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

from eco2ai_callbacks.calibration.json_path import PathError, number_at, parse

TIMEOUT_S = 3.0
_MOST_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Preset:
    """A kind of meter whose answers are known.

    Args:
        address: What is added to an address that has no path of its own.
        path: Where in the answer the watts are.
    """

    address: str
    path: str


# From the makers' references: Shelly Gen1 and Gen2 API, Tasmota commands, DMTF Redfish DSP2046 (Power schema).
PRESETS: Mapping[str, Preset] = {
    "shelly": Preset("/rpc/Switch.GetStatus?id=0", "apower"),
    "shelly1": Preset("/meter/0", "power"),
    "tasmota": Preset("/cm?cmnd=Status%208", "StatusSNS.ENERGY.Power"),
    "redfish": Preset("/redfish/v1/Chassis/1/Power", "PowerControl[0].PowerConsumedWatts"),
}


class MeterError(Exception):
    """The meter gave no power; the message is a sentence without any credential."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: the credential is for the named address alone."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        """Return no request."""


@dataclass(frozen=True)
class HttpMeter:
    """A meter behind an address.

    Args:
        url: The address; a user and password in it are sent as a header and never shown.
        path: Where in the answer the power is.
        user: ``user:password``, where the address has none.
        scale: Watts for each unit of the answer.
        timeout_s: Seconds to wait for an answer.
        verify: Whether a certificate must be valid; a BMC has often signed its own.

    Raises:
        MeterError: The address or the path is none.
    """

    url: str = field(repr=False)
    path: str
    user: str = field(default="", repr=False)
    scale: float = 1.0
    timeout_s: float = TIMEOUT_S
    verify: bool = True

    def __post_init__(self) -> None:
        try:
            parts = urllib.parse.urlsplit(self.url)
            ok = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            ok = False
        if not ok:
            raise MeterError("url is no address of a meter: accepted is http://HOST/... or https://HOST/...")
        try:
            parse(self.path)
        except PathError as why:
            raise MeterError(str(why)) from None

    @property
    def shown(self) -> str:
        """The address without credentials and without a query, which may hold a token."""
        parts = urllib.parse.urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))

    def read(self) -> float:
        """Return the power in watts now.

        Raises:
            MeterError: The meter did not answer in time, or not with a power.
        """
        try:
            # The answer is an object of its own at each read: meters close connections as they like.
            with self._opener().open(self._request(), timeout=self.timeout_s) as answer:
                content = self._content(answer)
        except urllib.error.HTTPError as error:
            error.close()
            raise MeterError(f"{self.shown} answered {error.code}{_advice(error.code)}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise MeterError(f"{self.shown} did not answer: {_kind(reason)}") from None
        if len(content) > _MOST_BYTES:
            raise MeterError(f"{self.shown} answered with more than 1 MiB")
        try:
            watts = number_at(json.loads(content), self.path) * self.scale
        except PathError as why:
            raise MeterError(f"{self.shown}: {why}") from None
        except (ValueError, RecursionError):
            raise MeterError(f"{self.shown} answered with no JSON") from None
        return watts

    def _content(self, answer: http.client.HTTPResponse) -> bytes:
        """Return what was answered; the time-out is for all of it, not for each part."""
        until, content = time.monotonic() + self.timeout_s, b""
        while part := answer.read1(65536):
            content += part
            if len(content) > _MOST_BYTES:
                break
            if time.monotonic() > until:
                raise TimeoutError
        return content

    def _request(self) -> urllib.request.Request:
        parts = urllib.parse.urlsplit(self.url)
        given, _, host = parts.netloc.rpartition("@")
        plain = urllib.parse.urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
        request = urllib.request.Request(plain, headers={"Accept": "application/json"})
        if user := (urllib.parse.unquote(given) or self.user):
            request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
        return request

    def _opener(self) -> urllib.request.OpenerDirector:
        context = ssl.create_default_context()
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        # No proxy: a meter is a neighbour, and its credential nobody else's.
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _NoRedirect()
        )


def meter_for(kind: str, url: str, path: str | None, **options: object) -> HttpMeter:
    """Return the meter of a kind.

    Args:
        kind: One of :data:`PRESETS`, or ``json`` for any other.
        url: Its address; the kind's own path is added where it has none.
        path: Where the power is; the kind's own by default.
        options: As in :class:`HttpMeter`.
    """
    preset = PRESETS.get(kind)
    if preset is not None:
        # With splitting errors left to the meter's own check.
        bare = url.partition("://")[2].rstrip("/")
        if "/" not in bare and "?" not in bare:
            url = url.rstrip("/") + preset.address
        path = path or preset.path
    return HttpMeter(url, path or "", **options)  # type: ignore[arg-type]


def _advice(code: int) -> str:
    if code in (401, 403):
        return ": set ECO2AI_METER_USER to user:password"
    return ": the address is moved, and redirections are not followed" if 300 <= code < 400 else ""


def _kind(reason: object) -> str:
    """Return what went wrong, without what an exception may quote of the request."""
    if isinstance(reason, TimeoutError):
        return "timed out"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "its certificate is not valid here; --insecure accepts it"
    return (isinstance(reason, OSError) and reason.strerror) or type(reason).__name__
