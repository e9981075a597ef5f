"""The field ``co2_eq_emissions`` of a Hugging Face model card: a run's emissions, location and hardware."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from eco2ai_callbacks.carbon import places
from eco2ai_callbacks.carbon.intensity import Intensity
from eco2ai_callbacks.host.package import package_version
from eco2ai_callbacks.meters.meter import Device
from eco2ai_callbacks.usage import Usage

FIELD = "co2_eq_emissions"
# The keys that the Hub reads in it.
KEYS = frozenset({"emissions", "source", "training_type", "geographical_location", "hardware_used"})
TrainingType = Literal["pre-training", "fine-tuning"]

# Digits of the emissions that are written.
_DIGITS = 6
# Python prints an exponent from here on.
_FIRST_IN_POWERS = 1e15


def emissions(grams: float) -> float | int:
    """Return grams of CO2e as a card states them, rounded to six digits; a card holds them in plain decimals.

    Example:
        >>> emissions(12.3456789), emissions(1.8e-07), emissions(1e12)
        (12.3457, 1.8e-07, 1000000000000.0)
    """
    if grams <= 0:
        return 0.0
    rounded = float(f"{grams:.{_DIGITS}g}")
    return int(rounded) if rounded >= _FIRST_IN_POWERS else rounded


@dataclass(frozen=True, slots=True)
class CardFacts:
    """The values of the field beside the emissions, for one run.

    Args:
        source: Software that the figure comes from.
        location: Place of the run, in words; ``None`` where unknown.
        hardware: Devices of the run, in words; ``None`` where unknown.
    """

    source: str
    location: str | None = None
    hardware: str | None = None

    def field(self, total: Usage, training_type: TrainingType | None = None) -> dict[str, Any] | None:
        """Return the field's value, without unknown keys; ``None`` where nothing was measured.

        Args:
            total: Usage of the run.
            training_type: ``pre-training`` or ``fine-tuning``.
        """
        if total.grams is None:
            return None
        values = {
            "emissions": emissions(total.grams),
            "source": self.source,
            "training_type": training_type,
            "geographical_location": self.location,
            "hardware_used": self.hardware,
        }
        return {name: value for name, value in values.items() if value is not None}


def location(intensity: Intensity) -> str | None:
    """Return the place of a carbon intensity, smallest first: ``California, United States``; ``None`` if unknown."""
    return place_name(intensity.region)


def place_name(region: str) -> str | None:
    """Return the name of a place by its id, smallest first: ``California, United States``; ``None`` if unknown."""
    if not places.exists(region):
        return region or None  # the user's own name beside the user's own figure
    around = places.chain(places.place(region))
    return ", ".join(spot.name for spot in around if spot.level in ("region", "subdivision", "country")) or None


def hardware(cpu: str, gpus: Iterable[str] = ()) -> str | None:
    """Return the devices in words; ``None`` where none has a name.

    Args:
        cpu: The processor's name; empty where it is not known.
        gpus: The names of the GPUs that were measured, one for each.

    Example:
        >>> hardware("AMD EPYC 7763 64-Core Processor", ["NVIDIA L4", "NVIDIA L4"])
        '2 x NVIDIA L4; AMD EPYC 7763 64-Core Processor'
    """
    counts = Counter(gpus)
    return "; ".join(filter(None, [*(f"{count} x {name}" for name, count in counts.items()), cpu])) or None


def card_facts(intensity: Intensity, cpu: str, devices: Iterable[Device]) -> CardFacts:
    """Return the values of the field beside the emissions.

    Args:
        intensity: The carbon intensity, with its place.
        cpu: The processor's name.
        devices: The devices that were measured.
    """
    return CardFacts(
        source=f"eco2AI (eco2ai-callbacks {package_version()})",
        location=None if intensity.found_by == "unknown" else location(intensity),
        hardware=hardware(cpu, [device.name for device in devices]),
    )


def merged(text: str, values: Mapping[str, Any]) -> str:
    """Return a card with the field set; its text and the lines of its other metadata stay unchanged.

    An existing ``co2_eq_emissions`` is replaced, not added to: our figure is the whole run's, resumed parts included,
    and a card is written again at each save. Keys in it that the Hub does not read are kept.

    Args:
        text: The card, with or without metadata; empty for a new one.
        values: The field's value.

    Raises:
        ImportError: PyYAML is not installed.
        ValueError: The card's metadata is no YAML, or no mapping.
    """
    from eco2ai_callbacks.metrics import front_matter  # where a card is written

    old = front_matter.parsed(text).get(FIELD)
    extra = {name: value for name, value in old.items() if name not in KEYS} if isinstance(old, Mapping) else {}
    return front_matter.with_field(text, FIELD, {**values, **extra})


def merge(path: Path, values: Mapping[str, Any]) -> None:
    """Write the field into a card's file; see :func:`merged`.

    Raises:
        OSError: The file does not exist, or cannot be written.
        ImportError: PyYAML is not installed.
        ValueError: The card is no UTF-8, or its metadata is no YAML or no mapping.
    """
    # As bytes, so that line ends stay unchanged.
    path.write_bytes(merged(path.read_bytes().decode("utf-8-sig"), values).encode("utf-8"))
