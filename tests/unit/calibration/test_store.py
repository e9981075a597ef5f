from __future__ import annotations

import dataclasses
import json
import os
import threading
from pathlib import Path

import pytest
from calibrations import CPU_ENTRY, CPU_FIT, MACHINE, WALL_ENTRY, on_day, write

from eco2ai_callbacks.calibration.store import Entry, append, choose, default_files, read


def test_an_entry_survives_its_line() -> None:
    for entry in (CPU_ENTRY, WALL_ENTRY, dataclasses.replace(CPU_ENTRY, shared=True)):
        assert Entry.parse(entry.line()) == entry
    assert (CPU_ENTRY.kind, WALL_ENTRY.kind) == ("cpu", "wall")


def test_what_was_appended_is_found(tmp_path: Path) -> None:
    path = tmp_path / "folder/calibration.jsonl"
    append(path, CPU_ENTRY)
    append(path, WALL_ENTRY)
    found = read([path])
    assert [entry.kind for entry in found.entries] == ["cpu", "wall"]
    assert not found.faults
    assert choose(found, "cpu", MACHINE).entry == dataclasses.replace(CPU_ENTRY, file=path)


def test_the_user_s_file_is_read_before_the_site_s(tmp_path: Path) -> None:
    user, site = default_files()
    assert user == tmp_path / ".config/eco2ai/calibration.jsonl"
    assert site == Path("/etc/eco2ai/calibration.jsonl")
    assert read([tmp_path / "missing"]).entries == ()


DAMAGE = {
    "no JSON": ("{nonsense", "it is no JSON"),
    "deep": ("[" * 100_000, "it is no JSON"),
    "list": ("[1, 2]", "it is no calibration"),
    "foreign": ('{"name": "other"}', "it is no calibration"),
    "later format": (CPU_ENTRY.line().replace('"eco2ai_calibration": 1', '"eco2ai_calibration": 2'), "its format is 2"),
    "no kind": (CPU_ENTRY.line().replace('"kind": "cpu"', '"kind": []'), "is neither 'cpu' nor 'wall'"),
    "no date": (CPU_ENTRY.line().replace("2026-11-28", "28.11."), "is no date"),
    "no machine": (json.dumps({**json.loads(CPU_ENTRY.line()), "machine": None}), "machine is missing"),
    "no fit": (json.dumps({**json.loads(CPU_ENTRY.line()), "fit": 1}), "fit is missing"),
    "other kind": (CPU_ENTRY.line().replace('"kind": "cpu"', '"kind": "wall"'), "is no number"),
    "infinite": (CPU_ENTRY.line().replace('"idle_w": 10.0', '"idle_w": Infinity'), "is no number"),
    "other threads": (CPU_ENTRY.line().replace('"threads": 12', '"threads": 8', 1), "another number of threads"),
    "cut": (CPU_ENTRY.line()[:-9], "it is no JSON"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_is_passed_over_and_spoils_no_other(tmp_path: Path, damage: str) -> None:
    line, why = DAMAGE[damage]
    path = write(tmp_path / "store", line, "", CPU_ENTRY)
    found = read([path])
    assert len(found.entries) == 1
    assert len(found.faults) == 1
    assert found.faults[0].startswith(f"{path}, line 1: ")
    assert why in found.faults[0]


def test_a_torn_last_line_does_not_swallow_the_next_entry(tmp_path: Path) -> None:
    path = write(tmp_path / "store", CPU_ENTRY)
    path.write_text(path.read_text() + WALL_ENTRY.line()[:50])
    append(path, on_day(CPU_ENTRY, 1))
    found = read([path])
    assert [entry.day for entry in found.entries] == [CPU_ENTRY.day, on_day(CPU_ENTRY, 1).day]
    assert len(found.faults) == 1


def test_two_writers_lose_nothing_of_each_other_s(tmp_path: Path) -> None:
    path = tmp_path / "store"

    def write_all(first: int) -> None:
        for number in range(20):
            append(path, on_day(CPU_ENTRY, first + number))

    threads = [threading.Thread(target=write_all, args=(first,)) for first in (0, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read([path])
    assert not found.faults
    assert len(found.entries) == 40


def test_a_store_that_others_may_write_is_not_trusted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "store", CPU_ENTRY)
    path.chmod(0o666)
    assert read([path]).entries == ()
    assert "others than its owner may write it" in caplog.text


def test_a_folder_in_its_place_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    assert read([tmp_path / "store"]).entries == ()
    with pytest.raises(OSError, match="store"):
        append(tmp_path / "store", CPU_ENTRY)


def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda descriptor, content: 3)
    with pytest.raises(OSError, match="the disk is full"):
        append(tmp_path / "store", CPU_ENTRY)


# --- the choice -------------------------------------------------------------------------------------------------------


def test_the_newest_wins_and_one_of_this_machine_before_one_that_was_shared(tmp_path: Path) -> None:
    newer = on_day(CPU_ENTRY, 10)
    shared = dataclasses.replace(on_day(CPU_ENTRY, 99), shared=True)
    path = write(tmp_path / "store", newer, CPU_ENTRY, shared)
    assert choose(read([path]), "cpu", MACHINE).entry == dataclasses.replace(newer, file=path)
    alone = write(tmp_path / "alone", shared)
    entry = choose(read([alone]), "cpu", MACHINE).entry
    assert entry is not None
    assert entry.shared


def test_of_one_day_s_the_last_line_of_the_first_file_wins(tmp_path: Path) -> None:
    def with_idle(watts: float) -> Entry:
        return dataclasses.replace(CPU_ENTRY, fit=dataclasses.replace(CPU_FIT, idle_w=watts))

    user = write(tmp_path / "user", with_idle(1.0), with_idle(2.0))
    site = write(tmp_path / "site", with_idle(3.0))
    entry = choose(read([user, site]), "cpu", MACHINE).entry
    assert entry is not None
    assert entry.fit == with_idle(2.0).fit


def test_another_machine_s_is_no_choice_and_the_same_one_s_that_has_changed_is_named(tmp_path: Path) -> None:
    found = read([write(tmp_path / "store", CPU_ENTRY)])
    assert choose(found, "cpu", dataclasses.replace(MACHINE, cpu="Other")).stale is None
    choice = choose(found, "cpu", dataclasses.replace(MACHINE, governor="powersave"))
    assert choice.entry is None
    assert choice.stale is not None
    assert choice.why == ("governor is 'powersave', was 'performance'",)
    assert choose(found, "wall", MACHINE).entry is None
