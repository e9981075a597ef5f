"""Single lines of a log."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from altered import KEY, texts, whole, write

from eco2ai_callbacks.runlog.chain_check import Found
from eco2ai_callbacks.runlog.hashing import canonical, line_hmac, signed
from eco2ai_callbacks.runlog.line_check import first_written, is_spelt, own_faults, record_lines

ROW = {"run": "r", "writer": "w", "seq": 0, "event": "epoch", "joules": {"cpu": 3.6e6}, "energy_kwh": 1.0}


def why(values: dict[str, object], key: str | None = None) -> list[str]:
    try:
        data = canonical(values).encode()
    except ValueError:
        data = json.dumps(values).encode()
    return [fault.why for fault in own_faults(Found(Path("log"), 1, 0, values, "h"), data, key)]


def test_a_line_shows_whether_its_energy_and_its_hmac_fit() -> None:
    assert why(ROW) == []
    assert why({**ROW, "energy_kwh": 2.0}) == ["energy_kwh is 2.0, its joules are 1.0"]
    assert why(ROW, KEY) == ["it carries no HMAC, though a key is given"]
    assert why({**ROW, "hmac": "0"}, KEY) == ["its HMAC is not that of its content"]
    assert why(json.loads(signed(canonical(ROW).encode(), KEY)), KEY) == []
    assert why({**json.loads(signed(canonical(ROW).encode(), KEY)), "more": 1}, KEY) != []
    early = {"schema": 1, **ROW, "hmac": None}
    assert why({**early, "hmac": line_hmac(early, KEY)}, KEY) == []
    assert why({**early, "hmac": "0"}, KEY) == ["its HMAC is not that of its content"]
    assert why({**early, "hmac": "0", "metrics": {"loss": float("inf")}}, KEY) == [
        "its HMAC is not that of its content"
    ]


def test_only_the_writers_spelling_is_its_own() -> None:
    text = canonical(ROW)
    assert is_spelt(ROW, text)
    assert not is_spelt(ROW, text + " ")
    assert not is_spelt({"loss": float("inf")}, '{"loss":1e999}')


def test_the_lines_of_a_file_and_when_its_first_record_was_written(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    whole(log)
    write(log, ["x", "", *texts(log)[1:]])
    found = list(record_lines(log))
    assert [number for number, *_ in found] == [1, *range(3, 9)]
    assert [values is None for _, _, values, _ in found] == [True, *[False] * 6]
    assert json.loads(found[1][1]) == found[1][2]
    assert first_written(log) == datetime(2026, 1, 1, 0, 0, 4, tzinfo=UTC)
    write(log, ["x"])
    assert first_written(log) is None
