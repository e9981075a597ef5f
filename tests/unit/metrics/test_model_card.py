"""The model card's field: numbers that every reader understands, and a card that otherwise stays what it was."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_cards import CARD, VALUES
from steady import steady

from eco2ai_callbacks.carbon.intensity import Intensity, lookup, user, world
from eco2ai_callbacks.metrics import front_matter
from eco2ai_callbacks.metrics.model_card import FIELD, KEYS, CardFacts, emissions, hardware, location, merged
from eco2ai_callbacks.testing import Clock
from eco2ai_callbacks.usage import Usage

# --- the values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grams", "written"),
    [
        (0.0, "0.0"),
        (1e-9, "0.000000001"),
        (0.00000018, "0.00000018"),
        (0.00012345678, "0.000123457"),
        (0.5, "0.5"),
        (12.3456789, "12.3457"),
        (232380.0, "232380.0"),
        (1e12, "1000000000000.0"),
        (123456789e9, "123457000000000000"),
        (1e300, str(int(1e300))),
    ],
)
def test_grams_are_written_in_plain_digits(grams: float, written: str) -> None:
    card = merged("", {"emissions": emissions(grams)})
    assert f"  emissions: {written}\n" in card
    assert front_matter.parsed(card) == {FIELD: {"emissions": emissions(grams)}}


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-12, 1e30))
def test_whoever_looks_for_digits_finds_the_grams(grams: float) -> None:
    found = re.search(r"\d+\.\d+|\d+", merged("", {"emissions": emissions(grams)}).partition("emissions: ")[2])
    assert float(found.group(0)) == pytest.approx(grams, rel=1e-5)


def test_what_is_not_known_is_left_out() -> None:
    assert CardFacts("eco2AI").field(Usage(1.0)) is None
    assert CardFacts("eco2AI").field(Usage(1.0, {}, 2.0)) == {"emissions": 2.0, "source": "eco2AI"}
    assert CardFacts("eco2AI").field(Usage(1.0, {}, 0.0))["emissions"] == 0.0
    facts = CardFacts("eco2AI", "California, United States", "2 x NVIDIA L4")
    found = facts.field(Usage(1.0, {}, 12.5), "fine-tuning")
    assert found == VALUES
    assert found.keys() == KEYS


@pytest.mark.parametrize(
    ("intensity", "place"),
    [
        (lookup("FR"), "France"),
        (lookup("US-CA"), "California, United States"),
        (lookup("aws:eu-west-3"), "AWS eu-west-3, Paris, France"),
        (world(), None),
        (user(50.0), None),
        (user(50.0, region="our cellar"), "our cellar"),
        (user(50.0, region="FR"), "France"),
    ],
)
def test_the_place_is_said_from_the_inside_out(intensity: Intensity, place: str | None) -> None:
    assert location(intensity) == place


def test_devices_alike_are_counted() -> None:
    assert hardware("AMD EPYC", ["NVIDIA L4", "NVIDIA L4"]) == "2 x NVIDIA L4; AMD EPYC"
    assert hardware("", ["NVIDIA A100", "NVIDIA L4"]) == "1 x NVIDIA A100; 1 x NVIDIA L4"
    assert hardware("AMD EPYC") == "AMD EPYC"
    assert hardware("") is None


def test_a_tracker_says_it_also_after_its_end() -> None:
    clock = Clock()
    run = steady(clock)
    assert run.model_card() is None
    with run:
        clock.advance(100)
    found = run.model_card("pre-training")
    assert found.pop("source").startswith("eco2AI (eco2ai-callbacks ")
    assert found == {
        "emissions": 1.0,
        "training_type": "pre-training",
        "geographical_location": "France",
        "hardware_used": "1 x NVIDIA L4; AMD EPYC",
    }


def test_a_run_of_which_nothing_was_measured_says_nothing() -> None:
    with steady(Clock(), measured=False) as run:
        pass
    assert run.model_card() is None


def test_the_worlds_average_names_no_place() -> None:
    with steady(clock := Clock(), region="World", g_per_kwh=None) as run:
        clock.advance(100)
    assert "geographical_location" not in run.model_card()


def test_keys_that_the_hub_does_not_read_and_comments_stay() -> None:
    card = merged(f"---\n# ours\n{FIELD}:\n  emissions: 9  # old\n  notes: by hand\nlicense: mit  # yes\n---\n", VALUES)
    assert front_matter.parsed(card) == {FIELD: {**VALUES, "notes": "by hand"}, "license": "mit"}
    assert card.startswith(f"---\n# ours\n{FIELD}:\n")
    assert card.endswith("\nlicense: mit  # yes\n---\n")
    assert merged(CARD, VALUES).replace(merged("", VALUES)[4:-4], "") == CARD


def test_yaml_is_needed_only_for_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ImportError):
        merged(CARD, VALUES)
