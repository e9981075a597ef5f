"""The command eco2ai card."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from model_cards import CARD
from report_logs import folder, training

from eco2ai_callbacks.cli import main
from eco2ai_callbacks.metrics.front_matter import parsed


def card(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["card", *args])
    return done.exit_code, done.output


@pytest.fixture(autouse=True)
def _model() -> None:
    Path("model").mkdir()
    training(Path("model/eco2ai.jsonl"))


def test_a_card_that_is_not_there_is_made_from_the_log_beside_it() -> None:
    code, text = card("model", "--training-type", "pre-training")
    assert code == 0
    assert text == "model/README.md made: 0.048 g CO2e\n"
    assert Path("model/README.md").read_text() == (
        "---\nco2_eq_emissions:\n  emissions: 0.048\n  source: eco2AI (eco2ai-callbacks 0.1.0)\n"
        "  training_type: pre-training\n  geographical_location: Germany\n---\n"
    )


def test_all_else_in_a_card_stays() -> None:
    before = CARD.replace("license: mit\n", "# of the model\nlicense: mit  # as the data\n")
    Path("model/README.md").write_text(before)
    assert card("model", "--hardware", "a laptop")[0] == 0
    after = Path("model/README.md").read_text()
    added = after.partition("co2_eq_emissions:")[2].partition("---\n")[0]
    assert after.replace(f"co2_eq_emissions:{added}", "") == before
    assert parsed(after)["co2_eq_emissions"]["hardware_used"] == "a laptop"
    card("model", "--hardware", "a laptop")
    assert Path("model/README.md").read_text() == after


def test_a_dry_run_prints_the_metadata_and_writes_nothing() -> None:
    Path("model/README.md").write_text("---\nlicense: mit\n---\nbody\n")
    code, text = card("model", "--dry-run")
    assert code == 0
    assert text.startswith("license: mit\nco2_eq_emissions:\n  emissions: 0.048\n")
    assert Path("model/README.md").read_text() == "---\nlicense: mit\n---\nbody\n"


def test_runs_of_other_logs_are_added_up_and_named() -> None:
    folder()
    code, text = card("model", "--log", "logs", "--log", "model/eco2ai.jsonl")
    assert code == 0
    assert "added up: runs killed, outer, job, run; --run names one of them" in text
    assert card("model", "--log", "logs", "--run", "outer")[1].endswith("README.md changed: 0.0192 g CO2e\n")


def test_a_tiny_use_is_written_as_it_is() -> None:
    log = Path("tiny.jsonl")
    training(log, epochs=0, intensity={"g_per_kwh": 400.0})
    log.write_text(log.read_text().replace('"co2_kg":', '"co2_kg":1.8e-10,"was":'))
    assert card("model", "--log", "tiny.jsonl")[0] == 0
    assert "  emissions: 0.00000018\n" in Path("model/README.md").read_text()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"---\na: b: c\n---\nbody\n",
            "model/README.md cannot be changed: its metadata is no YAML, line 2: mapping values",
        ),
        (b"---\n- a\n---\n", "model/README.md cannot be changed: its metadata is a list and no mapping of fields."),
        (b"---\nlicense: \xff\n---\n", "model/README.md cannot be read: it is no UTF-8 text. Nothing is written."),
    ],
    ids=["no YAML", "list", "no UTF-8"],
)
def test_a_damaged_card_is_one_sentence_and_stays(content: bytes, sentence: str) -> None:
    Path("model/README.md").write_bytes(content)
    code, text = card("model")
    assert code == 2
    assert sentence in " ".join(text.split())
    assert Path("model/README.md").read_bytes() == content


def test_what_cannot_be_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for args, sentence in (
        (["nowhere"], "Directory 'nowhere' does not exist"),
        (["model", "--log", "nowhere.jsonl"], "LOG='nowhere.jsonl' is not there"),
        (["model", "--training-type", "magic"], "'magic' is not one of"),
    ):
        code, text = card(*args)
        assert code == 2
        assert sentence in text
    Path("model/README.md").mkdir()
    assert "model/README.md cannot be read: Is a directory." in card("model")[1]
    monkeypatch.setitem(sys.modules, "yaml", None)
    Path("model/README.md").rmdir()
    assert 'eco2ai card needs the package yaml: pip install "eco2ai_callbacks[card]".' in card("model")[1]


def test_runs_without_a_measurement_have_no_card() -> None:
    Path("plain.jsonl").write_text('{"run":"r","writer":"w","seq":0,"event":"stop","seconds":1.0}\n')
    code, text = card("model", "--log", "plain.jsonl")
    assert code == 2
    assert "nothing was measured in these runs" in text
    assert not Path("model/README.md").exists()
