"""Which runs are compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from seeds import base_and_pruned, seed

from eco2ai_callbacks.comparing import groups
from eco2ai_callbacks.comparing.groups import NoGroup, by_key, by_names, runs_called
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.runs import Runs

LOG = "eco2ai.jsonl"


def names(*given: str, logs: tuple[str, ...] = (LOG,)) -> list[tuple[str, list[str]]]:
    return [(group.name, [run.id for run in group.runs]) for group in by_names(given, logs, load)]


def test_a_name_is_a_run_the_beginning_of_one_a_project_or_a_log() -> None:
    base_and_pruned()
    seed(Path("other.jsonl"), "x", project="alone")
    assert names("base0", "pruned", "other.jsonl") == [
        ("base0", ["base0"]),
        ("pruned", [f"pruned{n}" for n in range(5)]),
        ("other.jsonl", ["x"]),
    ]
    Path("folder").mkdir()
    seed(Path("folder/a.jsonl"), "y", project="begins")
    assert names("base1", "folder", "oth*.jsonl") == [("base1", ["base1"]), ("folder", ["y"]), ("oth*.jsonl", ["x"])]
    seed(Path(LOG), "5e1f09c2")
    assert names("5e1f", "base0")[0] == ("5e1f", ["5e1f09c2"])


def test_a_name_without_any_log_says_where_it_was_looked_up() -> None:
    with pytest.raises(NoGroup) as caught:
        names("base", "pruned")
    assert str(caught.value) == (
        f"'base' cannot be compared: no log, and no run or project, for {LOG} is not there; "
        "accepted are logs, and runs and projects of --log."
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("base", "nope"), "'nope' cannot be compared: no run or project of eco2ai.jsonl, and no log; accepted are"),
        (("base", "pru"), r"'pru' is the beginning of 5 runs: pruned0, pruned1"),
        (("base", "base0"), "run 'base0' is in 'base' and in 'base0'"),
        (("base", "base"), "run 'base0' is in 'base' and in 'base'|is given twice"),
        (("base", ""), "'' cannot be compared"),
    ],
    ids=["unknown", "ambiguous", "overlap", "twice", "empty"],
)
def test_a_name_that_stands_for_nothing_is_one_sentence(given: tuple[str, ...], sentence: str) -> None:
    base_and_pruned()
    with pytest.raises(NoGroup, match=sentence):
        names(*given)


def test_a_log_that_is_not_there_is_named() -> None:
    with pytest.raises(NoGroup, match=r"eco2ai\.jsonl is not there"):
        names("a", "b")


def test_a_log_without_a_run_is_no_group() -> None:
    base_and_pruned()
    Path("empty.jsonl").write_text("")
    with pytest.raises(NoGroup, match=r"'empty\.jsonl' cannot be compared: there is no run in it"):
        names("base", "empty.jsonl")
    assert runs_called(Runs(), "") == ()


def test_runs_are_grouped_by_what_they_have_in_common() -> None:
    base_and_pruned()
    runs = load(LOG)
    assert [group.name for group in by_key(runs, "project")] == ["base", "pruned"]
    assert [group.name for group in by_key(runs, "project", "pruned")] == ["pruned", "base"]
    seed(Path(LOG), "two", world_size=2)
    assert [len(group.runs) for group in by_key(load(LOG), "ranks")] == [10, 1]


def test_groups_that_cannot_be_compared_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    base_and_pruned()
    runs = load(LOG)
    with pytest.raises(
        NoGroup, match=r"--group-by='version' makes no two groups: all 10 runs have the version '0\.1\.0'"
    ):
        by_key(runs, "version")
    with pytest.raises(NoGroup, match="--baseline='x' is no project of these runs; accepted are base, pruned"):
        by_key(runs, "project", "x")
    with pytest.raises(NoGroup, match="there is no run"):
        by_key(Runs(), "project")
    monkeypatch.setattr(groups, "MOST_GROUPS", 1)
    with pytest.raises(NoGroup, match="makes 2 groups; at most 1 are compared"):
        by_key(runs, "project")


def test_a_run_inside_another_one_of_its_group_is_part_of_it() -> None:
    seed(Path(LOG), "outer", project="p")
    seed(Path(LOG), "inner", project="p", parent="outer")
    seed(Path(LOG), "other", project="q")
    assert [[run.id for run in group.runs] for group in by_key(load(LOG), "project")] == [["outer"], ["other"]]
    assert names("inner", "other") == [("inner", ["inner"]), ("other", ["other"])]
