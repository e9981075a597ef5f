"""The check of a release names what is wrong with it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def check() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[2] / "tools" / "check_dist.py"))


@pytest.fixture
def whole(check: dict[str, Any]) -> dict[str, list[str]]:
    """The files of a wheel and of an sdist that lack nothing."""
    wheel = [name if name.startswith("eco2ai") else f"eco2ai_callbacks-1{name}" for name in check["IN_WHEEL"]]
    return {"wheel": wheel, "sdist": [f"eco2ai_callbacks-1/{name}" for name in check["IN_SDIST"]]}


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_a_whole_one_has_no_fault_and_each_missing_file_is_one(
    check: dict[str, Any], whole: dict[str, list[str]], kind: str
) -> None:
    faults, names = check[f"{kind}_faults"], whole[kind]
    assert list(faults(names)) == []
    for name in names:
        (sentence,) = faults([other for other in names if other != name])
        assert sentence.startswith(f"the {kind} lacks ")
        assert sentence.removeprefix(f"the {kind} lacks ") in name


@pytest.mark.parametrize(
    ("kind", "name", "fault"),
    [
        ("wheel", "tests/conftest.py", "the wheel would install tests/conftest.py beside the package"),
        ("wheel", "eco2ai_callbacks/a.csv", "the wheel holds eco2ai_callbacks/a.csv"),
        ("sdist", "eco2ai_callbacks-1/a/b.pyc", "the sdist holds a/b.pyc"),
    ],
    ids=["beside", "raw figures", "compiled"],
)
def test_what_does_not_belong_into_it_is_named(
    check: dict[str, Any], whole: dict[str, list[str]], kind: str, name: str, fault: str
) -> None:
    assert list(check[f"{kind}_faults"]([*whole[kind], name])) == [fault]


def test_two_builds_that_differ_are_named(check: dict[str, Any], tmp_path: Path) -> None:
    for folder in ("1", "2"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.whl").write_text("same")
        (tmp_path / folder / "a.tar.gz").write_text("same")
    same = check["same"]
    assert list(same(tmp_path / "1", tmp_path / "2")) == []
    (tmp_path / "2/a.whl").write_text("other")
    assert [sentence.partition(":")[0] for sentence in same(tmp_path / "1", tmp_path / "2")] == [
        "a.whl is not the same in both builds"
    ]
    (tmp_path / "2/a.tar.gz").unlink()
    assert "absent" in next(same(tmp_path / "1", tmp_path / "2"))
