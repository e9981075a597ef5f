"""How much a text that names no place resembles one: by its country's code, its words and its spelling."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from difflib import SequenceMatcher

# Words that many official names share: they say nothing about which country is meant.
_RANKS = frozenset(
    (
        *("arab", "commonwealth", "democratic", "federal", "federation", "federative", "independent", "islamic"),
        *("kingdom", "of", "peoples", "plurinational", "principality", "republic", "socialist", "state", "states"),
        *("the", "union", "united"),
    )
)
# Below it, two words have nothing in common but letters, and the exact ratio is not worth its time.
_LEAST = 0.5
# The score of a place that is no candidate.
_NONE = -1.0


class Similarity:
    """The resemblance of a text to places.

    Args:
        key: The text, folded.
        countries: The codes of all countries, folded.
    """

    def __init__(self, key: str, countries: Container[str]) -> None:
        self._key = key
        self._words = frozenset(word for word in re.split(r"[ :]", key) if len(word) > 3 and word not in _RANKS)
        self._clouds = bool(re.search(r"[\d:]", key))
        provider, colon, _ = key.partition(":")
        self._provider = f"{provider}:" if colon else ""
        # SE9, US-ZZ and JP_TOKYO begin with a country.
        start = re.match(r"([a-z]{2,3})(?=[ \d])", key)
        self._country = start[1] if start and start[1] in countries else ""
        core = " ".join(word for word in key.split() if word not in _RANKS)
        self._matcher = SequenceMatcher(b=core or key, autojunk=False)

    def score(self, place_id: str, level: str, names: Iterable[str]) -> float:
        """Return how much the text resembles a place; a negative number for a place that it does not mean.

        Regions of clouds count only where the text has a digit, a colon or one of their words.

        Args:
            place_id: Id of the place.
            level: Its level.
            names: Its codes and names, folded.
        """
        names = list(names)
        shared = any(word in name and word in re.split(r"[ :]", name) for word in self._words for name in names)
        is_cloud = level == "region"
        if is_cloud and not (self._clouds or shared):
            return _NONE
        score = self._closest(names) + 0.5 * shared
        # KS is the second half of US-KS.
        score += 0.5 * (level == "subdivision" and self._key == names[0].partition(" ")[2])
        if self._provider and is_cloud and place_id.startswith(self._provider):
            score += 0.5
        if self._country and self._country in names:
            return score + 1.0
        if self._country and not is_cloud and any(name.startswith(f"{self._country} ") for name in names):
            score += 0.5
        return score

    def _closest(self, names: Iterable[str]) -> float:
        """Return the highest ratio of the names; 0 where none has one that counts."""
        best = 0.0
        for name in names:
            self._matcher.set_seq1(name)
            least = max(best, _LEAST)
            if self._matcher.real_quick_ratio() >= least and self._matcher.quick_ratio() >= least:
                best = max(best, self._matcher.ratio())
        return best
