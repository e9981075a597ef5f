from __future__ import annotations

import hashlib
import hmac
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eco2ai_callbacks.runlog.hashing import canonical, line_hash, line_hmac

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def test_a_line_is_compact_and_keeps_the_order_of_its_fields():
    assert canonical({"b": 1.0, "a": [1, None], "ü": "é"}) == '{"b":1.0,"a":[1,null],"ü":"é"}'


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(number: float):
    with pytest.raises(ValueError, match="Out of range float"):
        canonical({"a": {"b": [number]}})


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_what_is_read_back_is_spelt_as_before(values: dict[str, object]):
    line = canonical(values)
    assert "\n" not in line
    assert canonical(json.loads(line)) == line
    assert json.loads(line.encode()) == values


@given(st.text(st.characters(categories=["Cs", "L"])))
def test_what_utf8_cannot_hold_comes_back_too(text: str):
    assert json.loads(canonical({"a": text}).encode()) == json.loads(json.dumps({"a": text}))


def test_hashes_are_those_that_anybody_can_recompute():
    assert line_hash('{"a":1}') == hashlib.sha256(b'{"a":1}').hexdigest()
    expected = hmac.new(b"key", b'{"a":1,"hmac":null}', hashlib.sha256).hexdigest()
    assert line_hmac({"a": 1, "hmac": "whatever"}, "key") == expected
