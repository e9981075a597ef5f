"""The encrypted copy of a CSV; that of the real Fernet is in tests/system/test_eco2ai_itself.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.eco2ai_compat import encode as module
from eco2ai_callbacks.eco2ai_compat.encode import VARIABLE, Token, cipher, copy_of, decode
from eco2ai_callbacks.eco2ai_compat.errors import FileDoesNotExistsError
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.sinks.csv_append import append
from eco2ai_callbacks.sinks.csv_form import COLUMNS, Form

VALUES = dict.fromkeys(COLUMNS, "a") | {"experiment_description": 'b, "c"\nd'}


def key_file() -> Path:
    return Path.home() / ".config/eco2ai/encode.key"


@pytest.mark.parametrize(
    ("given", "name"), [(True, "out/encoded_emission.csv"), ("hidden.csv", "hidden.csv")], ids=["by the CSV", "named"]
)
def test_the_name_of_a_copy(given: Any, name: str) -> None:
    assert copy_of("out/emission.csv", given) == name


def test_what_was_encoded_is_decoded(fernet: Any, tmp_path: Path) -> None:
    path = tmp_path / "encoded.csv"
    for _ in range(2):
        append(path, Token(VALUES, cipher(create=True)))
    assert len(path.read_bytes().splitlines()) == 2
    assert decode(path) == decode(str(path)) == (Form().header() + Form().row(VALUES) * 2).decode()


def test_a_torn_line_is_left_out_and_that_is_said(
    fernet: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "encoded.csv"
    append(path, Token(VALUES, cipher(create=True)))
    path.write_bytes(path.read_bytes()[:-9])
    append(path, Token(VALUES, cipher()))
    assert decode(path) == (Form().header() + Form().row(VALUES)).decode()
    assert caplog.messages[-1] == f"what cannot be decrypted of {path} is left out: line 1"


def test_a_file_of_something_else_is_left_alone(fernet: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "encoded.csv"
    path.write_text("id,project_name\n)L,#N\n")  # eco2AI's own encoding
    beside = append(path, Token(VALUES, cipher(create=True))).path
    assert beside.name == "encoded.eco2ai.csv"
    assert "is no encoded copy of this package" in caplog.text


def test_the_key_is_made_once_for_this_user_alone_and_that_is_said(
    fernet: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cipher(create=True)
    cipher(create=True)
    assert key_file().stat().st_mode & 0o777 == 0o600
    assert caplog.messages == [
        f"a key for encoded files was made, {key_file()}; keep a copy: without it nobody can read them"
    ]


def test_the_key_of_another_process_that_was_first_stays(fernet: Any) -> None:
    other = b"o" * 43 + b"="
    key_file().parent.mkdir(parents=True)
    key_file().write_bytes(other)
    module._create(key_file(), fernet.generate_key())
    assert key_file().read_bytes() == other
    assert list(key_file().parent.iterdir()) == [key_file()]


def test_a_variable_comes_before_the_file(fernet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "v" * 43 + "=")
    cipher(create=True)
    assert not key_file().exists()
    monkeypatch.setenv(VARIABLE, "too short")
    with pytest.raises(
        SettingsError, match=rf"^the key for encoded files \(from {VARIABLE}\) is not accepted; accepted: 32 bytes"
    ):
        cipher()


def test_another_key_is_refused(fernet: Any, tmp_path: Path) -> None:
    path = tmp_path / "encoded.csv"
    append(path, Token(VALUES, cipher("v" * 43 + "=")))
    assert "b, " in decode(path, "v" * 43 + "=")
    with pytest.raises(SettingsError, match="cannot be decrypted"):
        decode(path, "w" * 43 + "=")
    with pytest.raises(SettingsError, match="from argument"):
        decode(path, "w")


def test_no_key_is_said(fernet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "encoded.csv"
    path.touch()
    with pytest.raises(
        SettingsError, match=r"^there is no key for encoded files: neither ECO2AI_ENCODE_KEY nor .*key "
    ):
        decode(path)
    monkeypatch.setattr(module, "folder", lambda: None)
    with pytest.raises(SettingsError, match="set ECO2AI_ENCODE_KEY, for this user has no home folder"):
        decode(path)


def test_a_folder_that_takes_no_key_is_said(fernet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(1, os.strerror(1))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(SettingsError, match=r"^no key .* \(\[Errno 1\].*\); set ECO2AI_ENCODE_KEY\.$"):
        cipher(create=True)
    assert list(key_file().parent.iterdir()) == []


def test_without_the_package_or_the_file_it_is_said(no_fernet: None, tmp_path: Path) -> None:
    with pytest.raises(
        ImportError, match=r'^encode_file needs .* cryptography: pip install "eco2ai_callbacks\[eco2ai\]"$'
    ):
        cipher()
    with pytest.raises(FileDoesNotExistsError, match=r"^filename='nowhere\.csv' is not there\.$"):
        decode("nowhere.csv")
