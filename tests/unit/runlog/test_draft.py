"""Drafts: the line of a draft is that of its whole record, and a mark that changes nothing makes no record."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest

from eco2ai_callbacks.record import Record, described
from eco2ai_callbacks.runlog.draft import Draft
from eco2ai_callbacks.runlog.short import NOTHING, Short
from eco2ai_callbacks.usage import Method, Usage

CPU = Method("cpu-model:vm", 1 / 3, 2.0, edge_j=0.02, scope="job", note="2.02 W per busy thread")
METHODS = {"cpu": CPU, "ram": Method("ram-model", 0.15, 1.1, scope="job")}
INTENSITY = {"g_per_kwh": 400.0, "region": "DE", "low": 360.0, "high": 440.0}
TEMPLATE = Record(
    run="run",
    writer="w",
    event="start",
    project="demo",
    host="h",
    pid=12,
    pue=1.2,
    intensity=INTENSITY,
    version="0.1.0",
)
USAGE = Usage(12.345678901234, {"cpu": 1234.56789012345, "ram": 1.0 / 3}, 98.7654321012)
TOTAL = Usage(1e5 / 3, {"cpu": 1e7 / 3, "ram": 1e3 / 7}, 1e5 / 7)
NOBODY: tuple[str, ...] = ()


def draft(seq: int, event: str = "epoch", **changed: Any) -> Draft:
    """What a mark of a session makes; of an epoch that has no other."""
    usage = changed.get("usage", USAGE)
    values: dict[str, Any] = {
        "template": TEMPLATE,
        "event": event,
        "segment": ("train", seq, 1),
        "start": f"2026-01-01T00:00:0{seq}.000+00:00",
        "usage": usage,
        "methods": METHODS,
        "total": TOTAL,
        "total_methods": METHODS,
        "spread": (0.9, 1.1),
        "standing": (INTENSITY, NOBODY, None, NOBODY, NOBODY),
        "attempts": ((0, seq, 1),),
        "train": usage if event == "epoch" else None,
        "further": {"samples": 50_000},
    }
    made = Draft(**values | changed)
    made.seq = seq
    return made


def lines(drafts: list[Draft], *, whole: bool) -> list[bytes]:
    standing, found = NOTHING, []
    for each in drafts:
        short = Short(each.record if whole else each, b'"schema":2', standing)
        standing = short.standing
        found.append(short.line(None))
    return found


def everywhere(methods: dict[str, Method]) -> dict[str, Any]:
    """The methods of a segment without gaps are those of the run."""
    return {"methods": methods, "total_methods": methods}


CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "another event": {"event": "stage", "segment": ("validate", 1, None)},
    "no epoch": {"event": "stop", "segment": ("other", None, None), "further": {"ended": "finished"}},
    "heartbeat": {"event": "heartbeat"},
    "an epoch of several marks": {"train": USAGE + Usage(1.0, {"cpu": 2.0}, 0.1)},
    "an epoch without a sum": {"train": None},
    "samples and tokens": {"further": {"samples": 0, "tokens": 7}},
    "metrics": {"further": {"metrics": {"loss": 0.5, "name": "café"}}},
    "a cost": {"usage": Usage(2.0, {"cpu": 2.0, "ram": 1.0}, 0.1, 0.25), "total": Usage(2.0, {"cpu": 2.0}, 0.1, 0.25)},
    "no grams": {"usage": Usage(2.0, {"cpu": 2.0, "ram": 1.0})},
    "no time": {"usage": Usage(0.0, {"cpu": 0.0, "ram": 0.0}, 0.0)},
    "no usage": {
        "usage": Usage(),
        "event": "metrics",
        "further": {"metrics": {"b": [1, None, float("nan")], "a": 1.5}},
    },
    "a forecast": {"usage": Usage(), "event": "forecast", "train": None, "further": {"metrics": {"kwh": 1e-9}}},
    "no usage so far": {"usage": Usage(), "total": Usage(), "event": "heartbeat"},
    "a channel less": {"usage": Usage(2.0, {"cpu": 2.0}, 0.1)},
    "channels in another order": {"usage": Usage(2.0, {"ram": 1.0, "cpu": 2.0}, 0.1)},
    "a channel that was": {"total": Usage(2.0, {"cpu": 2.0, "gpu:GPU-a": 1.0, "ram": 1.0}, 0.1)},
    "a failure": {"standing": (INTENSITY, NOBODY, None, ("NVML: lost",), NOBODY)},
    "a parent": {"standing": (INTENSITY, NOBODY, "outer", NOBODY, NOBODY)},
    "others on the device": {"standing": (INTENSITY, ("other",), None, NOBODY, NOBODY)},
    "siblings": {"standing": (INTENSITY, NOBODY, None, NOBODY, ("other",))},
    "another intensity": {"standing": ({**INTENSITY, "g_per_kwh": 100.0}, NOBODY, None, NOBODY, NOBODY)},
    "another band of it": {"spread": (0.5, 1.5)},
    "a gap": {"methods": {**METHODS, "cpu": dataclasses.replace(CPU, gap_j=(1.0, 2.0))}},
    "another method": everywhere({**METHODS, "cpu": dataclasses.replace(CPU, low=0.5)}),
    "fewer methods": everywhere({"cpu": CPU}),
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES.keys())
def test_a_draft_s_line_is_its_record_s(changed: dict[str, Any]) -> None:
    start = {"methods": METHODS, "usage": Usage(), "further": described(METHODS)}
    drafts = [draft(0, "start", **start), draft(1), draft(2), draft(3, **changed), draft(4, **changed), draft(5)]
    again = [draft(0, "start", **start), draft(1), draft(2), draft(3, **changed), draft(4, **changed), draft(5)]
    assert lines(drafts, whole=False) == lines(again, whole=True)


def test_a_mark_that_changes_nothing_that_holds_makes_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    drafts = [draft(seq) for seq in range(9)]
    made: list[int] = []
    whole = Draft.record
    monkeypatch.setattr(Draft, "record", property(lambda self: made.append(self.seq) or whole.fget(self)))  # type: ignore[attr-defined]
    lines(drafts, whole=False)
    assert made == [0]


def test_a_figure_that_is_none_is_refused_as_in_a_record() -> None:
    first = Short(draft(0), b"", NOTHING)
    for usage in (Usage(float("nan"), USAGE.joules, 1.0), Usage(1.0, {"cpu": float("inf"), "ram": 1.0}, 1.0)):
        with pytest.raises(ValueError):  # noqa: PT011 - the encoder's text differs between versions
            Short(draft(1, usage=usage), b"", first.standing)


def test_a_whole_record_is_made_once_with_its_number() -> None:
    one = draft(3)
    assert one.record is one.record
    assert (one.record.seq, one.record.samples, one.record.total) == (3, 50_000, one.total)
    assert one.record.energy_kwh == USAGE.energy_kwh


def test_a_draft_can_be_copied() -> None:
    one = draft(3)
    assert copy.copy(one).record == copy.deepcopy(one).record == one.record
