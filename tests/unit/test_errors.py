"""What can go wrong, as three exceptions."""

from __future__ import annotations

import pickle

import pytest

from eco2ai_callbacks.errors import Eco2AIError, MeterUnavailable, SettingsError


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
