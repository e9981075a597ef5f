"""The comparison with other trackers: its registry, its table and its readers; running it needs a registry."""

from __future__ import annotations

import argparse
import ast
import json
import tomllib
from pathlib import Path

import pytest
from benchmark_package import ROOT

from benchmarks import page, peers, records
from benchmarks.__main__ import command_of, report_of
from benchmarks.environments import Environment, InstallError
from benchmarks.measures import catalogue
from benchmarks.table import NOTHING, Row, error, figure, render

TRACKERS = ROOT / "benchmarks" / "probes" / "trackers"
METHODS = {"__init__", "mark", "finish", "cpu_joules", "source"}

# --- the registry -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.name)
def test_a_peer_has_a_tracker_with_every_method_and_a_reader(peer: peers.Peer) -> None:
    tree = ast.parse((TRACKERS / f"{peer.tracker}.py").read_text(encoding="utf-8"))
    (made,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert made.name == "Tracker"
    assert {node.name for node in made.body if isinstance(node, ast.FunctionDef)} >= METHODS
    assert peer.tracker in records.READERS


def test_a_tracker_belongs_to_a_peer() -> None:
    assert {path.stem for path in TRACKERS.glob("*_.py")} - {"__init__"} == {peer.tracker for peer in peers.PEERS}


def test_ours_is_always_compared_and_comes_first() -> None:
    assert [peer.name for peer in peers.chosen(["zeus"])] == ["eco2ai_callbacks", "zeus"]
    assert peers.chosen([]) == peers.PEERS
    assert peers.PEERS[0] is peers.OURS


def test_an_unknown_name_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="--peers: zeuss is not one of"):
        peers.chosen(["zeuss"])
    with pytest.raises(ValueError, match="--only: mark is not one of install"):
        catalogue.chosen(["mark"])


def test_measures_keep_the_order_of_the_table() -> None:
    assert catalogue.chosen(["kill", "install"]) == ("install", "kill")


def test_a_wheel_has_no_benchmarks() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["eco2ai_callbacks"]


# --- the table --------------------------------------------------------------------------------------------------------


def test_a_table_has_a_column_for_each_package_and_a_cell_for_what_is_missing() -> None:
    rows = [Row("first, ms", {"a": "1", "b": "x|y\nz"}), Row("second", {"b": error("boom  \n boom")})]
    assert render(["a", "b"], rows).splitlines() == [
        "|  | a | b |",
        "| --- | --- | --- |",
        "| first, ms | 1 | x\\|y z |",
        f"| second | {NOTHING} | error: boom boom |",
    ]


def test_a_long_error_is_cut() -> None:
    assert len(error("x" * 500)) < 100
    assert error("x" * 500).endswith("…")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.000213, "0.000213"), (0.0415, "0.0415"), (1.0, "1.00"), (12.34, "12.3"), (1234.5, "1,234")],
    ids=["zero", "tiny", "small", "one", "tens", "thousands"],
)
def test_a_figure_has_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


def test_a_page_gets_another_block_and_keeps_the_rest() -> None:
    before = f"# Page\n\n{page.BEGIN}\n\nold\n\n{page.END}\n\nend\n"
    once = page.replaced(before, "new\n")
    assert once == f"# Page\n\n{page.BEGIN}\n\nnew\n\n{page.END}\n\nend\n"
    assert page.replaced(once, "new") == once
    assert page.replaced((ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8"), "x")


@pytest.mark.parametrize("text", ["", page.BEGIN, f"{page.END}{page.BEGIN}"], ids=["none", "open", "turned"])
def test_a_page_without_one_block_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="one block"):
        page.replaced(text, "new")


def given(**options: object) -> argparse.Namespace:
    return argparse.Namespace(**{"peers": (), "only": (), "seconds": None, "quick": False} | options)


def test_the_command_is_shown_without_what_belongs_to_one_machine() -> None:
    options = given(peers=("zeus",), only=("marks", "kill"), seconds=2.0, quick=True, environments=Path("/somewhere"))
    assert command_of(options) == "python -m benchmarks --peers zeus --only marks,kill --seconds 2 --quick"
    assert command_of(given()) == "python -m benchmarks"


def test_a_package_that_cannot_be_installed_has_pips_words_in_every_cell() -> None:
    ours = Environment("python", "0.1.0", {"eco2ai-callbacks": "0.1.0", "psutil": "7.0"}, 5.72)
    made = {"eco2ai_callbacks": ours, "zeus": InstallError("ERROR: No matching distribution found for zeus")}
    lines = report_of(given(peers=("zeus",)), peers.chosen(["zeus"]), ["install"], made).splitlines()
    no = "error: ERROR: No matching distribution found for zeus"
    assert f"| packages installed, itself included | 2 | {no} |" in lines
    assert f"| MB installed | 5.72 | {no} |" in lines
    assert "- eco2ai_callbacks 0.1.0: eco2ai-callbacks 0.1.0, psutil 7.0" in lines


# --- what is read back ------------------------------------------------------------------------------------------------

FILES = {
    "eco2ai_callbacks_": (
        "eco2ai.jsonl",
        '{"event":"start"}\n{"event":"epoch","energy_kwh":0.5}\n{"event":"epoch"}\n{"ev',
    ),
    "codecarbon_": ("emissions.csv", "run_id,energy_consumed\na,0.5\na,\n"),
    "carbontracker_": (
        "1_carbontracker.log",
        "Average power usage (W) for cpu: 60.0\nAverage power usage (W) for cpu: None\n",
    ),
    "eco2ai_": ("emission.csv", "id,power_consumption(kWh)\na,0.5\na,N/A\n"),
    "zeus_": ("zeus.csv", "start_time,window_name,elapsed_time,gpu0_energy\n1,epoch,1,0.5\n1,epoch,1,\n"),
    "pyjoules_": ("pyjoules.csv", "timestamp;tag;duration;package_0\n1;epoch;1;5\n1;epoch;1;nan\n"),
    "landauer_gap_": ("joules.json", json.dumps({"phases": [{"energy_j": 0.5}, {"energy_j": None}]})),
}


@pytest.mark.parametrize("tracker", records.READERS)
def test_an_epoch_counts_where_its_energy_is_a_number(tracker: str, tmp_path: Path) -> None:
    assert records.epochs_on_disk(tracker, tmp_path) == 0
    name, text = FILES[tracker]
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert records.epochs_on_disk(tracker, tmp_path) == 1


@pytest.mark.parametrize("tracker", records.READERS)
def test_a_file_that_writers_have_torn_is_read_as_far_as_it_goes(tracker: str, tmp_path: Path) -> None:
    name, text = FILES[tracker]
    (tmp_path / name).write_bytes(text.encode() + b"\0\0\xff")
    # One JSON document is whole or nothing.
    assert records.epochs_on_disk(tracker, tmp_path) == (0 if tracker == "landauer_gap_" else 1)
