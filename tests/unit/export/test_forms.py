"""The registry of forms."""

from __future__ import annotations

import sys
from typing import ClassVar

import pytest

from eco2ai_callbacks.export.forms import FORMS, Form, NotExported, checked


@pytest.mark.parametrize("name", FORMS)
def test_each_form_has_a_module_with_its_options_and_its_function(name: str) -> None:
    form = FORMS[name]
    if form.extra:
        pytest.importorskip({"parquet": "pyarrow", "otel": "opentelemetry.sdk"}.get(form.extra, form.extra))
    module = form.load()
    assert form.name == name
    assert callable(module.write)
    assert all(key.isidentifier() and meaning for key, meaning in module.OPTIONS.items())


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, FORMS["parquet"].module, raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        NotExported, match=r'^--format parquet needs the package pyarrow: pip install "eco2ai_callbacks'
    ):
        FORMS["parquet"].load()


def test_a_fault_of_this_package_is_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        Form("x", "", "eco2ai_callbacks.export.nowhere", "parquet").load()


def test_an_unknown_option_is_named_with_those_that_are_known() -> None:
    form = FORMS["prometheus"]
    with pytest.raises(NotExported, match=r"^--set a='1' is no option of --format prometheus; .* has no options\.$"):
        checked(form.load(), form, {"a": "1"})

    class Module:
        OPTIONS: ClassVar = {"licence": "of the data", "contact": "an address"}

    with pytest.raises(NotExported, match=r"^--set a='1' .*; accepted are licence, contact\.$"):
        checked(Module(), form, {"a": "1"})  # type: ignore[arg-type]
    assert checked(Module(), form, {"contact": "x"}) == {"contact": "x"}  # type: ignore[arg-type]
