"""What the schema holds of a setting."""

from __future__ import annotations

from eco2ai_callbacks.settings import forms
from eco2ai_callbacks.settings.entry import Entry, entry


def test_a_field_s_metadata_hold_meaning_form_and_command() -> None:
    form = forms.flag()
    assert entry("Whether.", form) == {"setting": Entry("Whether.", form, command=False)}
    assert entry("Whether.", form, command=True)["setting"].command
