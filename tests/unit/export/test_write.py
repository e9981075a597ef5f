"""Where exports are written to."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from report_logs import training

from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.export import write as module
from eco2ai_callbacks.export.forms import FORMS, NotExported
from eco2ai_callbacks.export.write import Exported, export
from eco2ai_callbacks.report.select import selected

LOG = Path("eco2ai.jsonl")


def written(form: str, output: Path | None = None, log: Path = LOG, **options: Any) -> Exported:
    with selected(log) as selection:
        return export(selection, FORMS[form], output=output, **options)


@pytest.mark.parametrize("form", ["prometheus", "eco2ai"])
def test_a_file_is_there_once_it_is_whole_and_nothing_beside_it(form: str) -> None:
    training(LOG, epochs=1)
    assert written(form, Path("out")).text == ""
    first = Path("out").read_bytes()
    assert first.endswith(b"\n")
    assert {path.name for path in Path().iterdir()} == {LOG.name, "out"}
    Path("out").write_bytes(b"mine")
    with pytest.raises(NotExported, match=r"^--output='out' exists; --force writes over it\.$"):
        written(form, Path("out"))
    assert Path("out").read_bytes() == b"mine"
    written(form, Path("out"), force=True)
    assert Path("out").read_bytes() == first


def test_a_text_needs_no_file_and_a_file_does() -> None:
    training(LOG, epochs=1)
    assert written("prometheus").text.startswith("# HELP")
    with pytest.raises(
        NotExported, match=r"^--format eco2ai writes a file; --output is needed, such as eco2ai\.csv\.$"
    ):
        written("eco2ai")


@pytest.mark.parametrize("form", ["prometheus", "eco2ai"])
@pytest.mark.parametrize(
    ("output", "sentence"),
    [(".", "is a folder"), ("nowhere/out", "cannot be written: No such file"), ("eco2ai.jsonl/out", "Not a directory")],
    ids=["a folder", "no folder", "below a file"],
)
def test_a_bad_output_is_one_sentence(form: str, output: str, sentence: str) -> None:
    training(LOG, epochs=1)
    with pytest.raises(NotExported, match=rf"^--output='.*' .*{sentence}"):
        written(form, Path(output))


@pytest.mark.parametrize("form", ["prometheus", "eco2ai"])
def test_a_full_disk_leaves_nothing(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    training(LOG, epochs=1)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(NotExported, match=r"^--output='out' cannot be written: No space left on device\.$"):
        written(form, Path("out"))
    assert [path.name for path in Path().iterdir()] == [LOG.name]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_what_takes_the_place_meanwhile_stays(links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    training(LOG, epochs=1)
    form = FORMS["prometheus"]
    write = form.load().write

    def late(runs: Any, options: Mapping[str, str]) -> str:
        Path("out").write_text("another's")
        return str(write(runs, options))

    monkeypatch.setattr(form.load(), "write", late)
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
    with pytest.raises(NotExported, match=r"^--output='out' cannot be written: File exists\.$"):
        written("prometheus", Path("out"))
    assert Path("out").read_text() == "another's"


def test_a_file_system_without_links_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    training(LOG, epochs=1)
    monkeypatch.setattr(Path, "hardlink_to", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
    written("prometheus", Path("out"))
    assert Path("out").read_text().startswith("# HELP")


@pytest.mark.parametrize("form", ["prometheus", "eco2ai"])
def test_a_log_without_a_record_is_named(form: str) -> None:
    LOG.write_text("")
    with pytest.raises(NotExported, match=r"^LOG='eco2ai\.jsonl' holds no record, so there is nothing to export\.$"):
        written(form, Path("out"))
    assert not Path("out").exists()


def test_a_log_that_cannot_be_read_is_no_fault_of_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    training(LOG, epochs=1)

    def gone(*_: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "eco2ai.jsonl")

    monkeypatch.setattr(FORMS["eco2ai"].load(), "write", gone)
    with pytest.raises(PermissionError):
        written("eco2ai", Path("out"))


def test_what_is_sent_writes_no_file() -> None:
    pytest.importorskip("opentelemetry.sdk")
    training(LOG, epochs=1)
    with pytest.raises(
        NotExported, match=r"^--output='out' is not accepted: --format otel is sent, and writes no file"
    ):
        written("otel", Path("out"))


def test_an_option_that_a_form_refuses_is_one_sentence_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    training(LOG, epochs=1)

    def refusing(*_: Any) -> str:
        raise SettingsError("units='0' is not accepted; accepted: a number above 0.")

    monkeypatch.setattr(FORMS["prometheus"].load(), "write", refusing)
    with pytest.raises(
        NotExported, match=r"^--format prometheus: units='0' is not accepted; accepted: a number above 0\.$"
    ):
        written("prometheus", Path("out"))
    assert not Path("out").exists()
