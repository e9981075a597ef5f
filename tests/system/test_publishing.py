"""The commands for publishing, through the installed entry point, on a tracker's log and on hostile ones."""

from __future__ import annotations

from pathlib import Path

from entry_point import check_published, each_of, eco2ai, reading
from publications import trained
from report_logs import hostile
from sessions import Written


def test_a_tracker_s_log_can_be_cited_and_carded() -> None:
    trained()
    check_published()


def test_hostile_logs_are_texts() -> None:
    hostile()
    done = eco2ai("cite", "hostile", "--form", "cvpr", "--format", "markdown")
    assert done.returncode == 0, done.stderr
    assert "<script" not in done.stdout
    assert "\x1b" not in done.stdout


def test_hostile_logs_harm_no_command() -> None:
    """HTML, ANSI and formulas in names, a line of 10 MB, other encodings, epoch 10^9, a later schema, a torn line."""
    hostile()
    # Its page is opened in a browser by a test of its own.
    left_out = {"recompute", "in_sweden.jsonl", "watch", "--html", "parquet", "cyclonedx", "spdx"}
    commands = [each for each in reading("hostile") if left_out.isdisjoint(each)]
    place = str(Path("hostile").resolve())
    commands += [("watch", f"{place}/1.jsonl", "--once"), ("compare", "--group-by", "description", place)]
    for command, (code, out, errors) in zip(commands, each_of(*commands), strict=True):
        assert code in (0, 1, 2, 3), command
        assert "Traceback" not in out + errors, (command, errors)
        # A file that is written for another program holds names as they are.
        if command[0] != "export":
            assert not set("\x1b\x07\u202e") & set(out + errors), command
        assert code != 2 or len(errors.splitlines()) <= 4, (command, errors)


def test_ten_thousand_runs_are_read() -> None:
    log = Path("eco2ai.jsonl")
    written = Written(log, "run")
    written.stop()
    one = log.read_text()
    copies = (
        one.replace('"run":"run"', f'"run":"{number:08x}"').replace(written.writer, f"{number:016x}")
        for number in range(10_000)
    )
    log.write_text("".join(copies))
    ((code, out, _),) = each_of(("report", str(log.resolve()), "--format", "csv"))
    assert code == 0
    # A line for each run, and one for the names of the columns.
    assert len(out.splitlines()) == 10_001


def test_what_is_missing_is_one_sentence() -> None:
    done = eco2ai("card", "nowhere")
    assert done.returncode == 2
    assert "'nowhere' does not exist" in done.stderr
    assert "Traceback" not in done.stderr
