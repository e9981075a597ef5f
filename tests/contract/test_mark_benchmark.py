"""What a mark costs beside its system calls, by ``benchmarks/mark.py``."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmark_package import ROOT

from benchmarks.mark import main, measured, system_calls, table

pytestmark = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the system calls are those under Linux")


def test_a_mark_is_measured_beside_its_parts() -> None:
    found = measured(rows=(1, 2), workers=1, rounds=1)
    names = ["its system calls", "a hand-over", "a mark after 1", "a mark after 2", "a mark with 1 idle workers"]
    assert list(found) == names
    assert min(found.values()) > 0
    assert table(found).splitlines()[2].endswith(" | 1.0 |")


def test_the_bare_calls_append_to_a_log(tmp_path: Path) -> None:
    made = system_calls(tmp_path / "bare")
    for _ in range(3):
        made()
    assert (tmp_path / "bare").stat().st_size == 3 * 500


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["10", "5"], "rows: [10, 5] is not accepted; accepted: whole numbers of 0 or more that rise"),
        (["--rounds", "0"], "--rounds: 0 is not accepted; accepted: a whole number of 1 or more"),
    ],
    ids=["rows", "rounds"],
)
def test_an_argument_that_is_not_accepted_is_named(
    args: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(args)
    assert reason in capsys.readouterr().err


def test_the_page_has_its_table() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert table({"its system calls": 1.0}).splitlines()[0] in page
