"""Reduce a processor's name to its model's designation, whoever spells it."""

from __future__ import annotations

import re

_MARKS = re.compile(r"\((?:r|tm|c)\)|[®™©\u00a0\u200b]")
_BRACKETS = re.compile(r"\([^)]*\)?|\[[^]]*\]?")
_SAMPLE = re.compile(r"\beng(?:ineering)?\s+sample\b|(?<=\s)(?:es|qs)\d?\s*$")
# What may follow a model's number: its clock, its graphics, placeholders of the firmware.
_TAIL = re.compile(
    r"[@,].*"
    r"|\bwith\b.*|\bw/.*|(?<=\s)radeon\b.*"
    r"|\s\d+(?:\.\d+)?\s*[gm]hz.*"
    r"|\bto be filled\b.*|\bn/a\b.*|\bnot specified\b.*"
)
_CORES = re.compile(r"\b(?:\d+|single|dual|triple|quad|six|eight|[a-z]+teen|twelve|hexa|octa)[\s-]?cores?\b")
_GENERATION = re.compile(r"\b\d+(?:st|nd|rd|th)\s+gen(?:eration)?\b")
_DASH = re.compile(r"\s*-\s*(?=\d)")
_WORDS = re.compile(
    r"(?<!\S)(?:intel|amd|genuine|cpus?|processors?|apu|soc|mobile|embedded|nvidia|aws|annapurna|labs|huawei|hygon|graphics|gfx"
    r"|[grx]-series)(?!\S)"
)
# Differences of spelling between what makers publish and what the hardware reports, one line each.
_SPELLINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^core2\b", "core 2"),
        (r"^core 2 (?:duo|quad|extreme|solo)\b", "core 2"),
        (r"^core 2 (\d{4})$", r"core 2 e\1"),
        (r"^(core i\d) (\d{3,5}[a-z]{0,3}\d?)$", r"\1-\2"),
        (r"^(core i\d) x (920|940)$", r"\1-\2xm"),
        (r"^(core i\d) ([mxkse]) (\d{3})$", r"\1-\3\2"),
        (r"^(core i\d) ([qlu]) (\d{3})$", r"\1-\3\2m"),
        (r"^(core i\d-\w+) (?:extreme|limited) edition$", r"\1"),
        (r"^pentium (?:gold|silver|dual) ", "pentium "),
        (r"^atom x\d-", "atom "),
        (r"^xeon (?:6|scalable) (?=\w*\d)", "xeon "),
        (r"^xeon e3(12\d\d[a-z]?)$", r"xeon e3-\1"),
        (r"^(xeon e\d-\d{4}[a-z]?) ?v(\d)$", r"\1 v\2"),
        (r"^(xeon e\d-\d{4}[a-z]?) 0$", r"\1"),
        (r"^((?:pro )?a\d+(?: pro)?-\S+) r\d$", r"\1"),
        (r"^threadripper\b", "ryzen threadripper"),
        (r"^(?:ampere )?altra (?:max )?", "altra "),
        (r"^(snapdragon x \w+) - (x\d\w)(\d\d)(\w{3}) - qualcomm oryon$", r"\1 \2-\3-\4"),
    )
)


def unmarked(name: str) -> str:
    """Return a name in lower case, without trademarks and double spaces.

    Args:
        name: The name as a system or a maker's page spells it.
    """
    return " ".join(_MARKS.sub(" ", name.casefold()).split())


def designation(model_name: str) -> str:
    """Return a model's designation in lower case, without what makers and systems add to it.

    Args:
        model_name: The name as ``/proc/cpuinfo``, ``lscpu``, Windows or a maker's page spells it.

    Example:
        >>> designation("12th Gen Intel(R) Core(TM) i7-1260P CPU @ 2.10GHz")
        'core i7-1260p'
    """
    text = " ".join(_BRACKETS.sub(" ", unmarked(model_name)).split())
    text = _SAMPLE.sub(" ", _TAIL.sub("", text))
    text = _GENERATION.sub(" ", _CORES.sub(" ", text))
    text = " ".join(_WORDS.sub(" ", _DASH.sub("-", text)).split())
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    return text
