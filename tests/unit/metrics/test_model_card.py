"""The model card's field: numbers that every reader understands, and a card that otherwise stays what it was."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steady import steady

from eco2ai_callbacks.carbon.intensity import Intensity, lookup, user, world
from eco2ai_callbacks.metrics.model_card import KEYS, CardFacts, emissions, hardware, location, merge, merged
from eco2ai_callbacks.testing import Clock
from eco2ai_callbacks.usage import Usage

VALUES = {
    "emissions": 12.5,
    "source": "eco2AI",
    "training_type": "fine-tuning",
    "geographical_location": "California, United States",
    "hardware_used": "2 x NVIDIA L4",
}
CARD = """---
license: mit
language:
- en
- fr
tags:
- généré
model-index:
- name: small
  results:
  - task:
      type: text-classification
    dataset:
      name: glue
      type: glue
    metrics:
    - type: accuracy
      value: 0.91
---

# A model

The user's own words, with a line of `---` below.

---

| a | b |
"""


# --- the values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grams", "written"),
    [
        (0.0, "0.0"),
        (1e-9, "0.0001"),
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
    assert str(emissions(grams)) == written


@given(st.floats(1e-12, 1e30))
def test_whoever_looks_for_digits_finds_the_grams(grams: float) -> None:
    found = re.search(r"\d+\.\d+|\d+", str(emissions(grams)))
    assert float(found.group(0)) == pytest.approx(max(grams, 0.0001), rel=1e-5)


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


# --- the card ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grams", [1e-9, 3e-5, 0.00012345, 12.5, 1e12, 1.5e18])
def test_the_hubs_own_classes_read_what_was_written(tmp_path: Path, grams: float) -> None:
    hub = pytest.importorskip("huggingface_hub")
    path = tmp_path / "README.md"
    path.write_text(CARD)
    merge(path, {**VALUES, "emissions": emissions(grams)})
    card = hub.ModelCard.load(path)
    found = card.data.to_dict()["co2_eq_emissions"]
    assert found == {**VALUES, "emissions": emissions(grams)}
    assert isinstance(found["emissions"], float | int)
    card.save(path)
    for text in (path.read_text(), hub.ModelCardData(**card.data.to_dict()).to_yaml()):
        written = re.search(r"emissions: (.*)\n", text.partition("co2_eq_emissions:")[2]).group(1)
        assert re.fullmatch(r"\d+\.\d+|\d+", written)
        assert float(written) == pytest.approx(max(grams, 0.0001), rel=1e-5)


def test_all_else_stays() -> None:
    hub = pytest.importorskip("huggingface_hub")
    old, new = hub.ModelCard(CARD), hub.ModelCard(merged(CARD, VALUES))
    assert new.text == old.text
    found = new.data.to_dict()
    assert found.pop("co2_eq_emissions") == VALUES
    assert found == old.data.to_dict()
    assert "généré" in str(new)


def test_putting_it_in_twice_is_as_good_as_once() -> None:
    pytest.importorskip("huggingface_hub")
    assert merged(merged(CARD, VALUES), VALUES) == merged(CARD, VALUES)


@pytest.mark.parametrize("old", ["co2_eq_emissions: 99", "co2_eq_emissions:\n  emissions: 99\n  hardware_used: none"])
def test_an_older_figure_is_replaced(old: str) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard(merged(f"---\n{old}\nlicense: mit\n---\ntext\n", VALUES))
    assert card.data.to_dict() == {"co2_eq_emissions": VALUES, "license": "mit"}
    assert card.text == "text\n"


def test_a_figure_of_less_takes_nothing_from_the_one_before() -> None:
    hub = pytest.importorskip("huggingface_hub")
    text = merged(CARD, {**VALUES, "notes": "by hand"})
    found = hub.ModelCard(merged(text, {"emissions": 1.0, "source": "eco2AI"})).data.to_dict()
    assert found["co2_eq_emissions"] == {"emissions": 1.0, "source": "eco2AI", "notes": "by hand"}


@pytest.mark.parametrize("text", ["", "# Only words\n\n---\n\nand more\n"])
def test_a_card_without_metadata_gets_some(text: str) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard(merged(text, VALUES))
    assert card.data.to_dict() == {"co2_eq_emissions": VALUES}
    assert card.text == text


def test_ends_of_lines_stay(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    path = tmp_path / "README.md"
    path.write_bytes(b"\xef\xbb\xbf" + CARD.replace("\n", "\r\n").encode())
    merge(path, VALUES)
    written = path.read_bytes()
    assert written.count(b"\n") == written.count(b"\r\n")
    assert written.endswith(CARD.partition("# A model")[2].replace("\n", "\r\n").encode())


def test_metadata_that_are_none_are_left_alone(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    path = tmp_path / "README.md"
    path.write_text("---\n- a list\n---\ntext\n")
    with pytest.raises(ValueError, match="should be a dict"):
        merge(path, VALUES)
    assert path.read_text() == "---\n- a list\n---\ntext\n"
    with pytest.raises(FileNotFoundError):
        merge(tmp_path / "none.md", VALUES)


def test_the_hub_is_needed_only_for_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError):
        merged(CARD, VALUES)
