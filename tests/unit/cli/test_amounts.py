"""Shares and amounts on the command line."""

from __future__ import annotations

import click
import pytest

from eco2ai_callbacks.cli.amounts import finite, share

CONTEXT, OPTION = click.Context(click.Command("x")), click.Option(["--budget"])


@pytest.mark.parametrize(
    ("text", "value"),
    [("10%", 0.1), ("10 %", 0.1), ("0.1", 0.1), ("250%", 2.5), ("0", 0.0), (".5%", 0.005), ("1", 1.0), (None, None)],
)
def test_a_share_is_a_percentage_or_a_part_of_one(text: str | None, value: float | None) -> None:
    assert share(CONTEXT, OPTION, text) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize("text", ["10", "-5%", "ten", "", "nan", "1e3%", "9999999999%"])
def test_what_may_be_meant_either_way_is_no_share(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no share; accepted are percentages such as 10%"):
        share(CONTEXT, OPTION, text)


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=["nan", "inf"])
def test_an_amount_is_finite(value: float) -> None:
    assert finite(CONTEXT, OPTION, 1.0) == 1.0
    assert finite(CONTEXT, OPTION, None) is None
    with pytest.raises(click.BadParameter, match="is no amount; accepted are finite numbers"):
        finite(CONTEXT, OPTION, value)
