"""One field of a card's metadata: it is set, and every other byte stays."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2ai_callbacks.metrics.front_matter import metadata, parsed, plain, with_field

NEW = {"emissions": 1.8e-07, "source": "eco2AI: 0.1"}
LINES = "co2:\n  emissions: 0.00000018\n  source: 'eco2AI: 0.1'\n"


@pytest.mark.parametrize(
    ("number", "written"),
    [(1.8e-07, "0.00000018"), (12.5, "12.5"), (3, "3"), (1e30, "1" + 30 * "0"), (0.0, "0.0"), (1e-9, "0.000000001")],
    ids=["small", "usual", "whole", "large", "none", "nano"],
)
def test_numbers_have_no_exponent(number: float, written: str) -> None:
    assert plain(number) == written
    assert float(written) == number


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("license: mit  # as before\n", "license: mit  # as before\n" + LINES),
        ("co2: 99  # grams\nlicense: mit\n", LINES + "license: mit\n"),
        (
            "co2:\n  emissions: 99\n  source: us\n\n# of the licence\nlicense: mit\n",
            LINES + "\n# of the licence\nlicense: mit\n",
        ),
        ("a: 1\nco2: {emissions: 99,\n  source: us}\nb: 2\n", "a: 1\n" + LINES + "b: 2\n"),
        ("a: 1\nco2: >\n  99 g\n  or so\nb: 2\n", "a: 1\n" + LINES + "b: 2\n"),
        ("a: 1\nco2:\nb: 2\n", "a: 1\n" + LINES + "b: 2\n"),
        ("'co2': 1\nb: 2\n", LINES + "b: 2\n"),
        ("co2: 1\nb: 2\nco2:\n  emissions: 3\n", LINES + "b: 2\n"),
        ("co2:\n- 1\n- - 2\n  - x: 3\nb: 2\n", LINES + "b: 2\n"),
        ("# nothing yet\n", "# nothing yet\n" + LINES),
        ("  a: 1\n", "  a: 1\n" + "".join(f"  {line}\n" for line in LINES.splitlines())),
        ("", LINES),
    ],
    ids=[
        *("added", "number", "mapping", "flow", "folded", "empty value", "quoted key", "twice", "list", "comment"),
        *("indented", "empty"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_only_the_field_s_own_lines_change(before: str, after: str, newline: str) -> None:
    body = "\n# A model\n\n---\nco2: not this\n"
    card = f"---\n{before}---\n{body}".replace("\n", newline)
    assert with_field(card, "co2", NEW) == f"---\n{after}---\n{body}".replace("\n", newline)


@pytest.mark.parametrize(
    "before",
    ["{license: mit, co2: 1}\n", "co2: &a {x: 1}\nother: *a\n", "base: &a {x: 1}\n<<: *a\n"],
    ids=["one line", "anchor", "merge key"],
)
def test_metadata_that_no_lines_can_be_taken_from_are_written_again(before: str) -> None:
    card = with_field(f"---\n{before}---\nbody\n", "co2", NEW)
    assert parsed(card) == {**yaml.safe_load(before), "co2": NEW}
    assert card.endswith("---\nbody\n")


@pytest.mark.parametrize(
    "text", ["", "# Words\n\n---\n\nmore\n", "---\nno end\n", "words\r\n"], ids=["none", "rule", "open", "crlf"]
)
def test_a_card_without_metadata_gets_some(text: str) -> None:
    card = with_field(text, "co2", NEW)
    assert card.endswith(text)
    assert parsed(card) == {"co2": NEW}
    assert ("\r\n" in card) == ("\r\n" in text)


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ("a: b: c\n", "its metadata is no YAML, line 2: mapping values are not allowed here"),
        ("a: 1\nb: [1, 2\n", "its metadata is no YAML, line 4: "),
        ("a: \x07\n", "its metadata is no YAML"),
        ("- a list\n", "its metadata is a list and no mapping of fields"),
        ("words\n", "its metadata is a str and no mapping of fields"),
    ],
    ids=["colons", "open bracket", "control character", "list", "text"],
)
def test_damaged_metadata_is_one_sentence(block: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^its metadata is") as told:
        with_field(f"---\n{block}---\nbody\n", "co2", NEW)
    assert str(told.value).startswith(sentence)
    assert "\n" not in str(told.value)


PLAIN = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=12)
VALUES = st.recursive(
    PLAIN | st.booleans() | st.integers(-9, 9), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(PLAIN, VALUES, max_size=4),
    st.dictionaries(st.sampled_from(["a", "b"]), PLAIN | st.floats(0, 1e9), min_size=1),
)
def test_whatever_else_is_there_stays(others: dict[str, object], value: dict[str, object]) -> None:
    block = yaml.safe_dump(others, allow_unicode=True) if others else ""
    card = with_field(f"---\n{block}---\nbody", "co2", value)
    assert parsed(card) == {**others, "co2": value}
    assert with_field(card, "co2", value) == card
    if "co2" not in others:
        assert block in metadata(card)
