from __future__ import annotations

import json
import math
import re

import pytest

from eco2ai_callbacks.session.identity import Checkpoint, SessionIdentity, new_id


def test_ids_are_random_and_short_hexadecimal():
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in ids)


@pytest.mark.parametrize("numeric", ["1234567890123456", "12345678901234e5", "1e23456789012345", "eeeeeeeeeeeeeeee"])
def test_no_id_is_read_as_a_number(monkeypatch: pytest.MonkeyPatch, numeric: str):
    drawn = iter([numeric, "12345678901234a5"])
    monkeypatch.setattr("os.urandom", lambda size: bytes.fromhex(next(drawn)))
    assert new_id() == "12345678901234a5"


def test_a_run_is_one_process_of_one_unless_told_otherwise():
    run = SessionIdentity(id="a", writer="b", host="c")
    assert (run.rank, run.world_size, run.around, run.continues) == (0, 1, (), None)


class TestResume:
    @pytest.mark.parametrize(
        "resume", [Checkpoint("a", 1.5, 2.5, 3.5), Checkpoint("a"), Checkpoint("a", None, None, 3.0)]
    )
    def test_it_comes_back_from_json(self, resume: Checkpoint):
        assert Checkpoint.from_dict(json.loads(json.dumps(resume.to_dict()))) == resume

    @pytest.mark.parametrize("values", [{}, {"run_id": None}, {"run_id": 3}])
    def test_a_checkpoint_of_something_else_names_no_run(self, values: dict[str, object]):
        assert Checkpoint.from_dict(values) is None

    @pytest.mark.parametrize(
        "value", ["1.5", None, True, math.nan, math.inf, -1.0, pytest.param(10**400, id="too large"), [1]]
    )
    def test_what_is_no_amount_is_not_known(self, value: object):
        found = Checkpoint.from_dict({"run_id": "a", "energy_kwh": value, "co2_kg": value, "seconds": value})
        assert found == Checkpoint("a", None, None, 0.0)
