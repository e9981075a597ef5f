"""The CO2 field in a model card, as huggingface_hub reads and writes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from model_cards import CARD, VALUES

from eco2ai_callbacks.metrics.model_card import emissions, merge, merged

# --- the card ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grams", [1.8e-7, 3e-5, 0.00012345, 12.5, 1e12, 1.5e18])
def test_the_hubs_own_classes_read_what_was_written(tmp_path: Path, grams: float) -> None:
    hub = pytest.importorskip("huggingface_hub")
    path = tmp_path / "README.md"
    path.write_text(CARD)
    merge(path, {**VALUES, "emissions": emissions(grams)})
    card = hub.ModelCard.load(path)
    found = card.data.to_dict()["co2_eq_emissions"]
    assert found == {**VALUES, "emissions": emissions(grams)}
    assert isinstance(found["emissions"], float | int)
    written = re.search(r"emissions: (.*)\n", path.read_text().partition("co2_eq_emissions:")[2]).group(1)
    assert re.fullmatch(r"\d+\.\d+|\d+", written)
    assert float(written) == pytest.approx(grams, rel=1e-5)
    card.save(path)
    assert hub.ModelCard.load(path).data.to_dict()["co2_eq_emissions"] == found


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
    with pytest.raises(ValueError, match="its metadata is a list"):
        merge(path, VALUES)
    assert path.read_text() == "---\n- a list\n---\ntext\n"
    with pytest.raises(FileNotFoundError):
        merge(tmp_path / "none.md", VALUES)
