"""What can go wrong, as three exceptions and one sentence."""

from __future__ import annotations

import pickle

import pytest

from eco2ai_callbacks.errors import Eco2AIError, MeterUnavailable, SettingsError, refusal


@pytest.mark.parametrize("kind", [SettingsError, MeterUnavailable])
def test_whatever_this_package_raises_is_one_kind_of_error(kind: type[Eco2AIError]) -> None:
    assert issubclass(kind, Eco2AIError)


def test_a_wrong_setting_is_a_wrong_value_too() -> None:
    with pytest.raises(ValueError, match="pue=0"):
        raise SettingsError("pue=0 is not accepted")


@pytest.mark.parametrize("hint", [None, "sudo modprobe msr"])
def test_a_missing_source_carries_its_reason_and_what_would_help(hint: str | None) -> None:
    why = MeterUnavailable("absent: virtual machine", hint)
    assert (str(why), why.reason, why.hint) == ("absent: virtual machine", "absent: virtual machine", hint)
    assert pickle.loads(pickle.dumps(why)).reason == why.reason


@pytest.mark.parametrize("where", [None, "ECO2AI_PUE"])
def test_a_refusal_tells_what_is_accepted_apart_from_what_is_not(where: str | None) -> None:
    source = f" (from {where})" if where else ""
    assert refusal("pue=0", "a number from 1 to 10", where) == (
        f"pue=0{source} is not accepted; accepted: a number from 1 to 10."
    )
