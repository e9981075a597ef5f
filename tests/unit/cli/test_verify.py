"""The command eco2ai verify."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from report_logs import later
from sessions import Written

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.cli import main
from eco2ai_callbacks.cli.verify import _used
from eco2ai_callbacks.usage import Usage


def verify(*args: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["verify", *args], env=env)
    return done.exit_code, done.output


@pytest.fixture
def log() -> Path:
    with Tracker(region="FR", console=False, heartbeat_s=0.0) as run:
        for epoch in range(3):
            sum(range(100_000))
            run.mark(epoch=epoch)
    return Path("eco2ai.jsonl")


def test_a_whole_log_is_whole(log: Path) -> None:
    code, text = verify()
    assert code == 0
    assert " finished: " in text
    assert "whole (5 records in 1 file), by its hashes" in text


def test_a_run_without_stop_is_unfinished_and_not_altered(log: Path) -> None:
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    code, text = verify()
    assert code == 0
    assert " unfinished: " in text


@pytest.mark.parametrize(
    ("alter", "line"),
    [
        (lambda lines: [*lines[:2], lines[2].replace('"epoch":1', '"epoch":7'), *lines[3:]], 3),
        (lambda lines: [*lines[:2], *lines[3:]], 3),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], 3),
        (lambda lines: [*lines, lines[-1]], 6),
    ],
    ids=["a digit changed", "a line dropped", "two lines swapped", "a line appended by hand"],
)
def test_what_was_altered_is_named_by_its_line(log: Path, alter: object, line: int) -> None:
    lines = log.read_text().splitlines()
    log.write_text("\n".join(alter(lines)) + "\n")  # type: ignore[operator]
    code, text = verify()
    assert code == 1
    conclusion = text.splitlines()[-1]
    assert conclusion.startswith("altered (")
    assert f"eco2ai.jsonl, line {line} (" in conclusion


def test_a_key_that_was_not_the_logs_own_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECO2AI_LOG_KEY", "right")
    with Tracker(region="FR", console=False, heartbeat_s=0.0):
        pass
    assert verify(env={"ECO2AI_LOG_KEY": "right"})[0] == 0
    assert verify(env={"ECO2AI_LOG_KEY": "wrong"})[0] == 1


def test_a_log_that_is_not_there_is_one_sentence() -> None:
    code, text = verify("nowhere.jsonl")
    assert code == 2
    assert "LOG='nowhere.jsonl' is not there" in text


def test_a_torn_last_line_is_named_and_altered_nothing(log: Path) -> None:
    log.write_text(log.read_text()[:-40])
    code, text = verify()
    assert code == 0
    assert "eco2ai.jsonl, line 5: torn, as a crash or a full disk leaves a line" in text


def test_a_log_that_cannot_be_read_is_one_sentence(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(log))

    # The tests may run as root, whom no permission stops.
    monkeypatch.setattr(Path, "open", refuse)
    code, text = verify()
    assert code == 2
    assert "LOG='eco2ai.jsonl' cannot be read: Permission denied." in text


def write(name: str, *runs: tuple[str, str | None], parent: str | None = None) -> Path:
    """Write runs, each with how it ends; ``None`` leaves the end out."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    for run, ended in runs:
        session = Written(path, run, parent=parent)
        session.mark()
        if ended is not None:
            session.stop(ended)
    return path


def test_each_run_says_how_it_ended() -> None:
    write("eco2ai.jsonl", ("a", "finished"), ("b", "interrupted"), ("c", "energy budget"), ("d", None))
    code, text = verify()
    assert code == 0
    assert [line.split(":")[0] for line in text.splitlines()[:4]] == [
        "a  finished",
        "b  interrupted",
        "c  energy budget",
        "d  unfinished",
    ]


def test_a_run_that_was_resumed_ended_as_its_last_session_did() -> None:
    write("eco2ai.jsonl", ("a", "interrupted"), ("a", "finished"))
    assert verify()[1].startswith("a  finished: ")


def test_runs_inside_another_stand_below_it() -> None:
    write("eco2ai.jsonl", ("inner", "finished"), parent="outer")
    write("eco2ai.jsonl", ("innermost", "finished"), parent="inner")
    write("eco2ai.jsonl", ("outer", "finished"), ("last", "finished"))
    write("eco2ai.jsonl", ("lone", "finished"), parent="gone")
    lines = verify()[1].splitlines()
    assert [line.split(" finished")[0] for line in lines[:5]] == [
        "outer ",
        "  inner ",
        "    innermost ",
        "last ",
        "lone ",
    ]
    assert lines[4].endswith(", inside run gone, which is not in these files")


def test_runs_that_name_each_other_as_parents_are_shown_once() -> None:
    write("eco2ai.jsonl", ("a", "finished"), parent="b")
    write("eco2ai.jsonl", ("b", "finished"), parent="a")
    assert [line.split()[0] for line in verify()[1].splitlines()[:2]] == ["a", "b"]


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        (Usage(0.5), "nothing measured, 0.5 s"),
        (Usage(59.0, {"cpu": 36.0}, 0.004), "10 mWh, 4 mg CO2e, 59 s"),
        (Usage(61.0, {"cpu": 36000.0}, 4.0), "10 Wh, 4 g CO2e, 1 min 01 s"),
        (Usage(90000.0, {"cpu": 3.6e7}, 4000.0), "10 kWh, 4 kg CO2e, 25 h 00 min"),
        (Usage(3600.0, {"cpu": 3.6e11}, 0.0), "100,000 kWh, 0 kg CO2e, 1 h 00 min"),
    ],
    ids=["none", "milli", "units", "kilo", "large"],
)
def test_figures_have_units_that_people_read(usage: Usage, said: str) -> None:
    assert _used(usage) == said


@pytest.mark.parametrize(
    "args",
    [("logs",), ("logs/*.jsonl", "logs/deep"), ("logs/**/*.jsonl",), ("logs/a.jsonl", "logs/deep/b.jsonl", "logs")],
    ids=["folder", "pattern and folder", "deep pattern", "each and the folder"],
)
def test_folders_patterns_and_several_files_are_read_as_one(args: tuple[str, ...]) -> None:
    write("logs/a.jsonl", ("a", "finished"))
    write("logs/deep/b.jsonl", ("b", "finished"))
    Path("logs/notes.txt").write_text("no log")
    code, text = verify(*args)
    assert code == 0
    assert "whole (6 records in 2 files)" in text


def test_a_log_that_was_renamed_is_continued_elsewhere() -> None:
    log = write("eco2ai.jsonl", ("a", "finished"))
    first, *rest = log.read_text().splitlines(keepends=True)
    Path("eco2ai.jsonl.1").write_text(first)
    log.write_text("".join(rest))
    code, text = verify()
    assert code == 3
    assert "a  finished: " in text
    assert text.splitlines()[0].endswith(", continued elsewhere")
    assert text.splitlines()[-1].startswith("continued elsewhere (2 records in 1 file), by its hashes")
    code, text = verify("eco2ai.jsonl", "eco2ai.jsonl.1")
    assert (code, text.splitlines()[-1].split(",")[0]) == (0, "whole (3 records in 2 files)")


def test_a_file_that_is_no_run_log_is_said_to_be_none() -> None:
    Path("emission.csv").write_text("id,project_name\n1,x\n")
    code, text = verify("emission.csv")
    assert code == 2
    assert "LOG='emission.csv' is no run log: no line of it is a record" in text
    assert "beside it" not in text
    write("emission.jsonl", ("b", "finished"))
    assert verify("emission.csv")[1].rstrip().endswith("; the run log of a CSV is beside it: emission.jsonl.")
    write("eco2ai.jsonl", ("a", "finished"))
    code, text = verify("eco2ai.jsonl", "emission.csv")
    assert code == 2
    assert "emission.csv is no run log: no line of it is a record; it is left out" in text
    assert "whole (3 records in 1 file)" in text


def test_other_jsonl_files_of_a_folder_are_left_out_and_named() -> None:
    write("logs/a.jsonl", ("a", "finished"))
    Path("logs/data.jsonl").write_text('{"text": "x"}\n' * 5000)
    code, text = verify("logs")
    assert code == 0
    assert "logs/data.jsonl is no run log" in text
    assert "whole (3 records in 1 file)" in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("empty", "LOG='empty' is a folder without any *.jsonl file"),
        ("no/*.jsonl", "LOG='no/*.jsonl' is not there"),
        ("pipe", "LOG='pipe' is no regular file"),
    ],
    ids=["folder", "pattern", "pipe"],
)
def test_what_holds_no_log_is_named_for_what_it_is(name: str, said: str) -> None:
    Path("empty").mkdir()
    os.mkfifo("pipe")
    code, text = verify(name)
    assert code == 2
    assert said in text
    assert "accepted is a run log such as eco2ai.jsonl" in text


def test_writers_own_files_alone_are_a_log() -> None:
    write("eco2ai.0123456789abcdef.jsonl", ("a", "finished"))
    assert verify()[0] == 0


def test_its_help_names_the_exit_status() -> None:
    code, text = verify("--help")
    assert code == 0
    for status in range(4):
        assert f"\n    {status}  " in text


def test_lines_of_a_later_version_are_named_and_not_called_altered(log: Path) -> None:
    known = len(log.read_text().splitlines())
    later(log)
    code, text = verify()
    assert code == 3
    assert f"eco2ai.jsonl, line {known + 1} has schema 9, which this version does not know (it reads 1 to 2)" in text
    assert f"not all was checked; what was is whole ({known} records in 1 file)" in text
    assert "altered" not in text
    assert "\nlater " not in f"\n{text}"


def test_a_log_of_a_later_version_alone_is_no_foreign_file() -> None:
    later()
    code, text = verify()
    assert code == 3
    assert "it and 5 more are left out" in text
    assert "(0 records in 1 file)" in text


def test_another_schema_hides_no_line_of_a_session() -> None:
    """Neither where the line was read as a whole nor where it has the shape of the lines before it."""
    for number in range(1, 7):
        log = Path(f"{number}.jsonl")
        session = Written(log)
        for epoch in range(6):
            session.mark(epoch=epoch)
        lines = log.read_text().splitlines(keepends=True)
        lines[number - 1] = lines[number - 1].replace('"schema":2', '"schema":9')
        log.write_text("".join(lines))
        code, text = verify(str(log))
        # Without the first line the rest may be elsewhere, as in a log that was renamed.
        assert code == (3 if number == 1 else 1), text
        assert f"line {number} has schema 9" in text


def test_names_are_texts_that_no_terminal_carries_out() -> None:
    Written(Path("eco2ai.jsonl"), "\x1b[31mred\u202e").stop()
    code, text = verify()
    assert code == 0
    assert text.startswith("�[31mred�  finished")
