from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest
from registry_entries import HERE, entry

from eco2ai_callbacks.host.machine import process_identity
from eco2ai_callbacks.host.registry import Registry, ancestry, around_process, lineage


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry("host", tmp_path / "trackers")


def test_nobody_runs_where_the_folder_is_not_there(registry: Registry):
    assert registry.living() == []


def test_a_tracker_that_entered_is_seen_as_it_is_until_it_leaves(registry: Registry):
    one = entry(rank=2, parent="p", devices=("GPU-a", "GPU-b"))
    registry.enter(one)
    assert registry.living() == [one]
    registry.leave("w")
    assert registry.living() == []
    registry.leave("w")


def test_each_user_has_a_folder_that_nobody_else_can_write_or_read(tmp_path: Path):
    Registry("host").enter(entry())
    folder = tmp_path / f"eco2ai-trackers-{os.getuid()}"
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert Registry("host").living() == [entry()]


def test_the_longest_running_comes_first(registry: Registry):
    for writer, since in (("b", 2.0), ("c", 3.0), ("a", 1.0)):
        registry.enter(entry(writer, since=since))
    assert [one.writer for one in registry.living()] == ["a", "b", "c"]


def test_another_host_that_shares_the_folder_is_not_this_one(registry: Registry, tmp_path: Path):
    registry.enter(entry(host="another"))
    assert registry.living() == []
    assert len(list((tmp_path / "trackers").glob("*.json"))) == 1


def test_a_container_that_numbers_its_processes_by_itself_is_left_alone(registry: Registry, tmp_path: Path):
    registry.enter(entry(started=0.5))
    file = tmp_path / "trackers/w.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"numbered_by": "pid:[1]"}))
    assert registry.living() == []
    assert file.exists()


def test_a_later_process_of_the_same_number_is_another_one(registry: Registry):
    registry.enter(entry(started=0.25))
    assert registry.living() == []


def test_without_procfs_processes_are_looked_up_all_the_same(tmp_path: Path):
    registry = Registry("host", tmp_path / "trackers", tmp_path / "no-proc")
    registry.enter(entry(started=psutil.Process().create_time()))
    assert len(registry.living()) == 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "[]",
        "[" * 100_000,
        "{}",
        '{"writer": 1}',
        b"\xff\xfe",
        json.dumps(vars_ := {"writer": "x", "run": "r", "host": "host", "pid": "x", "started": None, "since": 0}),
        json.dumps(vars_ | {"pid": HERE, "started": None}),
        json.dumps(vars_ | {"pid": HERE, "started": 1.0, "since": "x"}),
        json.dumps(vars_ | {"pid": HERE, "started": 1.0, "rank": True}),
        json.dumps(vars_ | {"pid": HERE, "started": 1.0, "parent": 3}),
        json.dumps(vars_ | {"pid": HERE, "started": 1.0, "devices": "GPU-a"}),
        json.dumps(vars_ | {"pid": HERE, "started": 1.0, "devices": [1]}),
    ],
    ids=range(14),
)
def test_what_others_put_there_hides_nobody(registry: Registry, tmp_path: Path, content: str | bytes):
    registry.enter(entry())
    file = tmp_path / "trackers/x.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert registry.living() == [entry()]


def test_an_entry_that_cannot_be_taken_away_is_passed_over(registry: Registry, tmp_path: Path):
    registry.enter(entry())
    (tmp_path / "trackers/x.json").mkdir()
    assert registry.living() == [entry()]


def test_a_dead_entry_of_another_user_is_passed_over(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    registry.enter(entry())
    registry.enter(entry("dead", started=0.25))

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError

    # The tests may run as root, whom the kernel refuses nothing here.
    monkeypatch.setattr(Path, "unlink", refuse)
    assert registry.living() == [entry()]


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        Registry("host", tmp_path / "file" / "trackers").enter(entry())


class TestAroundAProcess:
    def test_it_is_the_nearest_process_that_measures_and_what_is_around_that(self):
        living = [entry("a", "outer", pid=10), entry("b", "inner", pid=20, parent="outer")]
        assert around_process(living, [20, 10], "new") == ["inner", "outer"]
        assert around_process(living, [10], "new") == ["outer"]
        assert around_process(living, [30], "new") == []

    def test_of_several_in_one_process_the_youngest_is_first_and_the_others_follow_it(self):
        living = [
            entry("a", "around", pid=10),
            entry("b", "old", parent="around"),
            entry("c", "young", parent="around"),
        ]
        assert around_process(living, [HERE], "new") == ["young", "old", "around"]

    def test_of_several_in_a_process_that_was_forked_those_open_there_are_first(self):
        living = [entry("a", "outer"), entry("b", "old"), entry("c", "young")]
        assert around_process(living, [HERE], "new", ["outer", "old"]) == ["old", "outer", "young"]

    def test_another_rank_of_the_same_run_is_none(self):
        assert around_process([entry("a", "run", pid=10)], [10], "run") == []
        living = [entry("a", "run", pid=10), entry("b", "inner", pid=10, parent="run")]
        assert around_process(living, [10], "run") == ["inner"]


class TestAncestry:
    def test_it_goes_outwards_as_far_as_runs_are_known(self):
        living = [entry("a", "inner", parent="middle"), entry("b", "middle", parent="outer")]
        assert ancestry(living, "inner") == ["inner", "middle", "outer"]

    def test_of_nothing_it_is_nothing_and_a_circle_ends(self):
        assert ancestry([], None) == []
        assert ancestry([entry("a", "x", parent="y"), entry("b", "y", parent="x")], "x") == ["x", "y"]


def test_a_process_descends_from_its_parent():
    found = lineage()
    assert found[:2] == [HERE, os.getppid()]


def test_what_others_could_put_there_neither_hangs_nor_stalls_nor_is_believed(registry: Registry, tmp_path: Path):
    registry.enter(entry())
    folder = tmp_path / "trackers"
    os.mkfifo(folder / "a.json")
    with (folder / "b.json").open("wb") as sparse:
        sparse.truncate(3 << 30)
    (tmp_path / "elsewhere").write_text((folder / "w.json").read_text().replace('"w"', '"x"'))
    (folder / "c.json").symlink_to(tmp_path / "elsewhere")
    if os.getuid() == 0:
        (folder / "d.json").write_text((folder / "w.json").read_text().replace('"w"', '"y"'))
        os.chown(folder / "d.json", 65534, 65534)
    registry.enter(entry("z"))
    assert {one.writer for one in registry.living()} == {"w", "z"}
    assert {one.writer for one in Registry("host", folder).living()} == {"w", "z"}


def test_the_folder_is_listed_and_entries_are_read_only_after_a_change(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "trackers"
    for number in range(5):
        registry.enter(entry(f"w{number}"))
    os.utime(folder, (1e9, 1e9))  # it has changed long ago
    assert len(registry.living()) == 5
    done: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr("os.scandir", lambda path: done.append("listed") or scandir(path))
    monkeypatch.setattr(f"{Registry.__module__}.read_own", lambda *_: done.append("read") or b"")
    for _ in range(10):
        assert len(registry.living(lambda one: one.writer == "w3")) == 1
    assert done == []
    (folder / "new.json").write_text("{}")
    registry.entries()
    assert done == ["listed", "read"]  # the new one alone


def test_a_folder_that_has_just_changed_is_listed_again(registry: Registry):
    for number in range(50):
        registry.enter(entry(f"w{number}"))
        assert len(registry.living()) == number + 1


def test_what_the_dead_have_left_goes_when_somebody_enters(registry: Registry, tmp_path: Path):
    folder = tmp_path / "trackers"
    registry.enter(entry("alive"))
    text = (folder / "alive.json").read_text()
    for number in range(200):
        (folder / f"dead{number}.json").write_text(
            json.dumps(json.loads(text) | {"writer": f"dead{number}", "started": 0.5})
        )
    (folder / "ages.json").write_text(json.dumps(json.loads(text) | {"host": "an earlier boot"}))
    os.utime(folder / "ages.json", (1e9, 1e9))
    (folder / ".unfinished").write_text("{")
    os.utime(folder / ".unfinished", (1e9, 1e9))
    (folder / ".just begun").write_text("{")
    registry.enter(entry("next"))
    assert {path.name for path in folder.iterdir()} == {"alive.json", "next.json", ".just begun"}


def test_this_process_is_known_without_a_look_and_others_by_one(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.enter(entry())
    registry.enter(entry("parent", pid=os.getppid()))
    assert len(registry.living()) == 2
    looked: list[int] = []
    identity = process_identity

    def look(pid: int, proc: Path) -> tuple[float | None, int]:
        looked.append(pid)
        return identity(pid, proc)

    monkeypatch.setattr(f"{Registry.__module__}.process_identity", look)
    assert len(registry.living()) == 2
    assert looked == [os.getppid()]


def test_entries_are_the_same_object_until_the_folder_changes(registry: Registry, tmp_path: Path) -> None:
    registry.enter(entry())
    os.utime(tmp_path / "trackers", (1e9, 1e9))  # it has changed long ago
    found = registry.entries()
    assert registry.entries() is found
    registry.enter(entry("another"))
    assert len(registry.entries()) == 2


def test_a_folder_that_somebody_else_could_write_to_is_looked_for_anew(tmp_path: Path) -> None:
    registry = Registry("host")
    registry.enter(entry())
    assert len(registry.entries()) == 1
    folder = tmp_path / f"eco2ai-trackers-{os.getuid()}"
    folder.chmod(0o777)
    assert len(registry.entries()) == 1
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rename(tmp_path / "moved")
    assert registry.entries() == ()
    registry.enter(entry())
    assert len(registry.entries()) == 1
