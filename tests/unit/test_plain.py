"""Values in a form for JSON, and back."""

from __future__ import annotations

import json
import math
from types import MappingProxyType
from typing import Any

import pytest

from eco2ai_callbacks.plain import frozen, loggable, plain


def test_what_is_frozen_comes_back() -> None:
    value = {"a": (1, 2.0, None), "b": MappingProxyType({"c": ("x", True)})}
    assert json.loads(json.dumps(plain(value))) == {"a": [1, 2.0, None], "b": {"c": ["x", True]}}
    assert frozen(plain(value)) == {"a": (1, 2.0, None), "b": {"c": ("x", True)}}


class Scalar:
    ndim = 0

    def __float__(self) -> float:
        return 0.5


class Array(Scalar):
    ndim = 1

    def __str__(self) -> str:
        return "[0.5]"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((None, None), (True, True), ("a", "a"), (3, 3), (math.nan, None), (math.inf, None)),
        *((Scalar(), 0.5), (Array(), "[0.5]"), ((1, {2: math.nan}), [1, {"2": None}]), (10**400, 10**400)),
    ],
    ids=["none", "true", "text", "int", "nan", "inf", "scalar", "array", "nested", "large"],
)
def test_what_a_framework_logs_becomes_a_value_for_json(value: Any, shown: Any) -> None:
    assert loggable(value) == shown
