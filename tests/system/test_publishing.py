"""The commands for publishing, through the installed entry point, on a tracker's log and on hostile ones."""

from __future__ import annotations

from entry_point import check_published, eco2ai
from publications import trained
from report_logs import hostile


def test_a_tracker_s_log_can_be_cited_and_carded() -> None:
    trained()
    check_published()


def test_hostile_logs_are_texts() -> None:
    hostile()
    done = eco2ai("cite", "hostile", "--form", "cvpr", "--format", "markdown")
    assert done.returncode == 0, done.stderr
    assert "<script" not in done.stdout
    assert "\x1b" not in done.stdout


def test_what_is_missing_is_one_sentence() -> None:
    done = eco2ai("card", "nowhere")
    assert done.returncode == 2
    assert "'nowhere' does not exist" in done.stderr
    assert "Traceback" not in done.stderr
