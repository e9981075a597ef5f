"""The command eco2ai export."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from publications import NEEDED
from report_logs import folder, hostile, training

from eco2ai_callbacks.cli import main
from eco2ai_callbacks.cli.export import for_terminal
from eco2ai_callbacks.export.forms import FORMS


def export(*args: str) -> Result:
    return CliRunner().invoke(main, ["export", *args])


def keys_of(name: str) -> Mapping[str, str]:
    return FORMS[name].load().OPTIONS


def test_its_help_names_each_form_with_what_it_needs() -> None:
    text = export("--help").output
    assert all(f"  {form.name} " in text and form.summary.split(",")[0] in text for form in FORMS.values())
    assert "Extra: otel." in text


def test_a_text_goes_to_the_output_and_what_a_reader_must_know_beside_it() -> None:
    folder()
    done = export("logs", "--format", "codecarbon")
    assert done.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["run_id"] for row in rows} == {"killed", "outer", "job"}
    assert "note: measured inside another run of this report, so not added again: run inner" in done.stderr


@pytest.mark.parametrize("name", [name for name in FORMS if name != "otel"])
def test_a_file_is_written_once(name: str) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    folder()
    given = {"name": "model", "cpus": "1"} | NEEDED.get(name, {}) if "standards" in FORMS[name].module else {}
    options = [word for key, value in given.items() for word in ("--set", f"{key}={value}") if key in keys_of(name)]
    done = export("logs", "--format", name, *options, "-o", "out")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.endswith("out written\n")
    before = Path("out").read_bytes()
    again = export("logs", "--format", name, *options, "-o", "out")
    assert again.exit_code == 2
    assert "--output='out' exists; --force writes over it." in again.output
    assert export("logs", "--format", name, *options, "-o", "out", "--force").exit_code == 0
    if name != "parquet" and "standards" not in FORMS[name].module:  # those are dated
        assert Path("out").read_bytes() == before


def test_the_log_of_this_folder_is_the_default() -> None:
    training(Path("eco2ai.jsonl"), "a", 1)
    assert 'run="a"' in export("--format", "prometheus").stdout


def test_torn_and_foreign_lines_are_named_and_passed_over() -> None:
    hostile()
    done = export("hostile", "--format", "prometheus")
    assert done.exit_code == 0
    assert "odd.jsonl, line 6: torn and passed over" in done.stderr
    assert "no record in file hostile/=cmd.csv" in done.stderr
    unknown = "line 3 has schema 99, which this version does not know (it reads 1 to 2): it is left out"
    assert f"note: hostile/odd.jsonl, {unknown}" in done.stderr.splitlines()
    assert "\x1b" not in done.stderr
    # A file holds names as they are; a terminal would carry them out.
    assert "\x1b" in done.stdout
    assert "\x1b" not in for_terminal(done.stdout)
    assert len(for_terminal(done.stdout).splitlines()) == len(done.stdout.split("\n")) - 1


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["eco2ai.jsonl"], "--format is missing; accepted are parquet, "),
        (["nowhere", "--format", "eco2ai", "-o", "a"], "LOG='nowhere' is not there"),
        (["empty.jsonl", "--format", "prometheus"], "LOG='empty.jsonl' holds no record"),
        (["notes.jsonl", "--format", "prometheus"], "LOG='notes.jsonl' is no run log: no line of it is a record."),
        (["--format", "prometheus", "--set", "a"], "--set 'a' is no pair; accepted is KEY=VALUE."),
        (["--format", "prometheus", "--set", "=a"], "--set '=a' is no pair; accepted is KEY=VALUE."),
        (["--format", "prometheus", "--set", "a=1", "--set", "a=2"], "--set a is given twice: '1' and '2'."),
        (["--format", "prometheus", "--set", "a=1"], "--set a='1' is no option of --format prometheus"),
        (["--format", "eco2ai"], "--format eco2ai writes a file; --output is needed"),
        (["--format", "eco2ai", "-o", "."], "--output='.' is a folder"),
        (["--format", "eco2ai", "-o", "no/a"], "--output='no/a' cannot be written: No such file or directory."),
    ],
    ids=["form", "log", "empty", "foreign", "pair", "no key", "twice", "unknown", "no output", "folder", "no folder"],
)
def test_bad_input_is_one_sentence(args: list[str], sentence: str) -> None:
    training(Path("eco2ai.jsonl"), "a", 1)
    Path("empty.jsonl").touch()
    Path("notes.jsonl").write_text("to do\n")
    done = export(*args)
    assert done.exit_code == 2
    assert sentence in done.output
    assert "Traceback" not in done.output


def test_a_log_that_cannot_be_read_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    training(Path("eco2ai.jsonl"), "a", 1)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "eco2ai.jsonl")

    monkeypatch.setattr("eco2ai_callbacks.export.write.load_selection", refused)
    done = export("--format", "prometheus")
    assert "LOG='eco2ai.jsonl' cannot be read: Permission denied." in done.output


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "eco2ai_callbacks.export.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    training(Path("eco2ai.jsonl"), "a", 1)
    done = export("--format", "parquet", "-o", "a.parquet")
    assert done.exit_code == 2
    assert '--format parquet needs the package pyarrow: pip install "eco2ai_callbacks[parquet]".' in done.output


def test_what_set_accepts_is_listed() -> None:
    assert export("--format", "prometheus", "--options").output == "--format prometheus has no options.\n"
    pytest.importorskip("pyarrow")
    assert export("--format", "parquet", "--options").output.startswith("compression  snappy")


@pytest.mark.parametrize("name", ["prometheus", "eco2ai", "parquet"])
def test_its_bar_moves_on_to_its_end(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    folder()
    lengths: list[int] = []
    moved: list[int] = []

    @contextlib.contextmanager
    def progress(length: int) -> Iterator[Callable[[int], None]]:
        lengths.append(length)
        yield moved.append

    monkeypatch.setattr(importlib.import_module("eco2ai_callbacks.cli.export"), "progress", progress)
    done = export("logs", "--format", name, "-o", "out")
    assert done.exit_code == 0, done.stderr
    read = sum(path.stat().st_size for path in Path("logs").iterdir())
    # A file of records needs two readings: one for which of them count.
    assert lengths == [FORMS[name].readings * read]
    assert sum(moved) == lengths[0]
