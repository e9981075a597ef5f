"""Location of the machine, from what its platform left on it; uses no network, host name, locale or IP address."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eco2ai_callbacks.carbon import places, tables
from eco2ai_callbacks.carbon.signals import Sign, client_signs, platform_signs
from eco2ai_callbacks.host.machine import Host


@dataclass(frozen=True, slots=True)
class Place:
    """The location of the machine, as far as it can be found.

    Args:
        region: Id of a place in the table; ``None`` where it is unknown.
        found_by: How it was found: ``environment: AWS_REGION + DMI``, ``cloud-init``, ``time zone``, ``unknown``.
        sure: Confidence: ``high``, ``medium``, ``low``; ``none`` where it is unknown.
        note: Remark for the user, as one phrase: the time zone, or why nothing was found.
        doubt: Why the place may be another one, as one sentence to warn with; empty where nothing speaks for that.
    """

    region: str | None
    found_by: str
    sure: str
    note: str = ""
    doubt: str = ""


def locate(*, environ: Mapping[str, str] | None = None, root: Path = Path("/"), host: Host | None = None) -> Place:
    """Return the location of this process, found offline.

    Sources, the preferred first: variables that the platform itself sets; cloud-init's file; variables that users set
    too, where the machine is that provider's; the time zone, where it is in one country and the machine in no cloud;
    hints, which are variables that tools set on laptops too. What is missing confirms nothing: a platform of Amazon,
    Google or Microsoft is ``high`` only where the firmware or cloud-init names that provider.

    Args:
        environ: The environment; this process's own by default.
        root: Root of the file system.
        host: This machine's facts; with them its vendor is not read again.

    Example:
        >>> locate(environ={"FLY_MACHINE_ID": "demo", "FLY_REGION": "ams"}).region
        'fly:ams'
    """
    environ = os.environ if environ is None else environ
    dmi = _dmi(root, host)
    init = _cloud_init(root)
    maker = _vendor(dmi)
    vendor = maker or (init.provider if init else "")
    left = [sign for sign in platform_signs(_with_first_process(environ, root)) if not _contradicted(sign, dmi)]
    hints = [sign for sign in left if sign.hint and not _confirmed(sign, vendor)]
    signs = [_weighed(sign, vendor) for sign in left if sign not in hints]
    known = [
        *_believed(sorted(signs, key=lambda sign: ("high", "medium", "low").index(sign.sure)), "environment: "),
        *_believed([init] if init else [], ""),
        *_believed(client_signs(environ, vendor, "DMI" if maker else "cloud-init"), "environment: "),
    ]
    if known:
        return known[0]
    provider = next((sign.provider for sign in signs), vendor)
    if provider:
        return Place(None, "unknown", "none", _why(provider, signs, init))
    return _hinted(_by_time_zone(environ, root), hints)


def _hinted(place: Place, hints: list[Sign]) -> Place:
    """Return the place by the time zone, with the hint as a remark; the hint's place where the time zone has none."""
    named = [sign for sign in hints if sign.region and places.exists(sign.region)]
    if place.region is not None:
        remarks = [f'{sign.found_by} would be region="{sign.region}"' for sign in named[:1]]
        return replace(place, note="; ".join([place.note, *remarks]))
    for sign in named:
        doubt = (
            f"the place of this machine is taken to be {sign.region}, by {sign.found_by}, "
            f'which tools set on laptops too; set region="{sign.region}", or where it really is'
        )
        return Place(sign.region, f"environment: {sign.found_by}", "low", "a hint only", doubt)
    perhaps = [f"perhaps {sign.provider}, by {sign.found_by}" for sign in hints[:1]]
    return replace(place, note="; ".join([*perhaps, place.note]))


def _believed(signs: Iterable[Sign], prefix: str) -> Iterator[Place]:
    """Return the places of the signs whose region is in the table."""
    for sign in signs:
        if sign.region and places.exists(sign.region):
            yield Place(sign.region, prefix + sign.found_by, sign.sure)


def _why(provider: str, signs: list[Sign], init: Sign | None) -> str:
    for sign in (*signs, *([init] if init else [])):
        if sign.region:
            return f"{sign.region}, by {sign.found_by}, is not in the table"
    return f"a machine of {provider}, and nothing on it says in which region"


# Vendor of the machine.


def _dmi(root: Path, host: Host | None) -> str:
    """Return the firmware's vendor strings (DMI): who made or runs the machine; empty where there are none."""
    names = ["chassis_asset_tag", "bios_version"]
    maker = host.vendor if host else ""
    if not maker:
        names += ["sys_vendor", "product_name"]
    return " ".join(filter(None, (maker, *(_text(root / "sys/class/dmi/id" / name).strip() for name in names))))


# Firmware strings of clouds. Google and Microsoft make laptops too; Azure's machines have this chassis asset tag.
_FIRMWARE = (
    ("amazon", "aws"),
    ("Google Compute Engine", "gcp"),
    ("7783-7084-3265-9085-8269-3286-77", "azure"),
    ("OracleCloud.com", "oci"),
    ("Alibaba Cloud", "alibaba"),
    ("Hetzner", "hetzner"),
    ("Scaleway", "scaleway"),
    ("DigitalOcean", "digitalocean"),
    ("IBM:Cloud", "ibm"),
    ("Nebius", "nebius"),
    ("Yandex", "yandex"),
    ("OpenStack", "OpenStack"),
    ("Tencent Cloud", "Tencent Cloud"),
    ("Huawei Cloud", "Huawei Cloud"),
    ("Exoscale", "Exoscale"),
    ("UpCloud", "UpCloud"),
    ("Vultr", "Vultr"),
    ("Linode", "Linode"),
    ("Akamai", "Linode"),
    ("CloudStack", "CloudStack"),
)


def _vendor(dmi: str) -> str:
    """Return the cloud provider of this machine; empty for a machine outside of clouds."""
    return next((provider for words, provider in _FIRMWARE if words.casefold() in dmi.casefold()), "")


# Firmware strings of the machines of these providers and of others; with none of them, a tool imitates the provider.
_MAKERS = {"aws": ("amazon", "xen"), "gcp": ("google",), "azure": ("microsoft",)}
# Platforms that run on another provider's machines.
_RUN_BY = {"Google Colab": "gcp", "Kaggle": "gcp"}


def _contradicted(sign: Sign, dmi: str) -> bool:
    makers = _MAKERS.get(_RUN_BY.get(sign.provider, sign.provider))
    return bool(makers and dmi and not any(maker in dmi.casefold() for maker in makers))


def _confirmed(sign: Sign, vendor: str) -> bool:
    """Return whether the machine is of the sign's provider; of any cloud, where that provider's firmware is not known.

    Args:
        sign: A sign in the environment.
        vendor: Provider of this machine by its firmware or cloud-init; empty where they name none.
    """
    provider = _RUN_BY.get(sign.provider, sign.provider)
    return vendor == provider if provider in _MAKERS else bool(vendor)


def _weighed(sign: Sign, vendor: str) -> Sign:
    """Return a sign with less confidence where the firmware should name its provider and does not."""
    lacks = sign.provider in _MAKERS and not _confirmed(sign, vendor)
    return replace(sign, sure="medium") if lacks and sign.sure == "high" else sign


# Files.


def _cloud_init(root: Path) -> Sign | None:
    """Return the region that cloud-init found at boot; only provider, region and zone of its file are used."""
    try:
        content = json.loads(_text(root / "run/cloud-init/instance-data.json"))
    except ValueError:
        content = None
    facts = content.get("v1") if isinstance(content, dict) else None
    if not isinstance(facts, dict):
        facts = {"cloud_name": _text(root / "run/cloud-init/cloud-id").strip()}
    provider = _INIT_NAMES.get(str(facts.get("cloud_name")).lower())
    if provider is None:
        return None
    candidates = [f"{provider}:{region}" for region in _init_regions(facts)]
    region = next(filter(places.exists, candidates), candidates[0] if candidates else None)
    return Sign(provider, region, "cloud-init", "high")


_INIT_NAMES = {
    "aliyun": "alibaba",
    "aws": "aws",
    "azure": "azure",
    "digitalocean": "digitalocean",
    "ec2": "aws",
    "gce": "gcp",
    "hetzner": "hetzner",
    "ibmcloud": "ibm",
    "nebius": "nebius",
    "oracle": "oci",
    "scaleway": "scaleway",
    "yandex": "yandex",
}


def _init_regions(facts: Mapping[str, Any]) -> Iterator[str]:
    """Return region and zone in the spellings that may be ids: some providers' zones begin with their region's name."""
    for field in ("region", "availability_zone"):
        value = facts.get(field)
        if isinstance(value, str) and value:
            name = value.strip().lower()
            yield name
            yield name.rpartition("-")[0]


def _with_first_process(environ: Mapping[str, str], root: Path) -> Mapping[str, str]:
    """Return the environment with RunPod's variables, which SSH sessions lack, from the container's first process."""
    if environ.get("RUNPOD_DC_ID"):
        return environ
    pairs = (line.partition("=") for line in _text(root / "proc/1/environ").split("\0"))
    lost = {name: value for name, _, value in pairs if name in ("RUNPOD_DC_ID", "RUNPOD_POD_ID")}
    return {**environ, **lost} if lost else environ


def _text(path: Path) -> str:
    """Return a small file's content; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


# Time zone.


def _by_time_zone(environ: Mapping[str, str], root: Path) -> Place:
    """Return the country of the time zone's name; the zone file's content is often the same in several countries."""
    found = {zone: row for zone in _zones(environ, root) for row in tables.rows("timezones", zone)}
    countries = {row[1] for row in found.values()}
    if len(countries) > 1:
        return Place(None, "unknown", "none", f"time zones of several countries: {', '.join(found)}")
    for zone, (_, country, hint) in found.items():
        note = f'{zone}; region="{hint}" would be nearer if you are there' if hint else zone
        return Place(country, "time zone", "low", note)
    return Place(None, "unknown", "none", "no sign of a platform, and no time zone that lies in one country")


def _zones(environ: Mapping[str, str], root: Path) -> Iterator[str]:
    """Return the time zones of ``TZ``, ``/etc/timezone`` and ``/etc/localtime``; they may repeat, or be empty."""
    try:
        link = str((root / "etc/localtime").readlink())
    except OSError:
        link = ""
    written = (environ.get("TZ", "").removeprefix(":"), _text(root / "etc/timezone").partition("\n")[0], link)
    for value in written:
        name = value.strip().rpartition("zoneinfo/")[2]
        yield name.removeprefix("posix/").removeprefix("right/")
