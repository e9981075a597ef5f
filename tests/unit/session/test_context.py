"""Which run a process proposes, and whose process group its ranks exchange over."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.distributed.messages import SharedStore
from eco2ai_callbacks.distributed.process_group import Group
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.session import context as module
from eco2ai_callbacks.session.context import RunContext, propose_run
from eco2ai_callbacks.session.identity import Checkpoint
from eco2ai_callbacks.settings import resolve
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform

LAUNCH = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "job", "MASTER_PORT": "1"}


def proposed(context: RunContext | None = None, environ: dict[str, str] | None = None, **settings: Any) -> Any:
    platform = fake_platform(Clock(), environ=environ, number=lambda: 0)
    return propose_run(resolve({"region": "FR", **settings}), platform, context or RunContext())


def test_a_checkpoint_s_run_goes_before_the_setting_s() -> None:
    both = proposed(RunContext(checkpoint=Checkpoint("saved")), run_id="named")
    assert (both.run, both.continued) == ("saved", True)
    assert proposed(run_id="named").run == "named"


def test_a_new_run_has_an_id_of_its_own() -> None:
    assert not proposed().continued
    assert proposed().run != proposed().run


def test_the_ranks_of_a_launch_propose_one_id_unless_they_can_agree_on_it() -> None:
    assert proposed(environ=LAUNCH).run == proposed(environ={**LAUNCH, "RANK": "0"}).run
    exchanges = RunContext(gather=lambda message: [message])
    assert proposed(exchanges, environ=LAUNCH).run != proposed(exchanges, environ=LAUNCH).run


def test_a_group_that_a_framework_gives_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_group", lambda *_: Group(1, 2, lambda message: [message]))
    given = RunContext(rank=(0, 4), gather=lambda message: [message] * 4)
    assert given.in_group("auto", Guard()) is given
    assert RunContext().in_group(None, Guard()) == RunContext()
    found = RunContext(base="other").in_group("auto", Guard())
    assert (found.base, found.rank) == ("other", (1, 2))


@pytest.mark.parametrize("ranks", ["torch", "jax"])
def test_a_group_that_is_asked_for_and_not_there_is_named(ranks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.modules", {**__import__("sys").modules, "torch": None, "jax": None})
    guard = Guard()
    assert RunContext().in_group(ranks, guard).gather is None
    assert guard.failures == (f"ranks: {ranks}.distributed is not initialised, so this rank is measured alone",)


def test_a_tracker_sums_over_the_ranks_of_the_group_that_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def find(ranks: Any, guard: Guard) -> Group:
        asked.append(ranks)
        return Group(0, 2, lambda message: [message, message])

    monkeypatch.setattr(module, "find_group", find)
    clock = Clock()
    platform = fake_platform(clock, FakeMeter(clock, {"cpu": 18.0}))
    with Tracker(ranks="auto", platform=platform, region="FR", log_file=None, console=False) as run:
        clock.advance(100.0)
        report = run.end_epoch(0)
    assert asked == ["auto"]
    assert report.train["eco2ai/energy_kwh"] == pytest.approx(2 * 1800 / 3.6e6)
    assert report.usage.total_j == 1800.0


@pytest.mark.parametrize("ranks", ["tensorflow", True, 2, ""])
def test_other_values_are_refused_in_one_sentence(ranks: Any) -> None:
    with pytest.raises(
        SettingsError, match=r"^ranks=.* \(from argument\) is not accepted; accepted: 'auto', 'torch', 'jax' or None\.$"
    ):
        Tracker(ranks=ranks, region="FR")


def test_nothing_is_exchanged_by_default() -> None:
    clock = Clock()
    with Tracker(platform=fake_platform(clock), region="FR", log_file=None, console=False) as run:
        assert run.end_epoch(0).usage.seconds == 0.0


def test_the_platform_s_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fake_platform(Clock(), environ={"A": "1"}).variables == {"A": "1"}
    monkeypatch.setenv("ECO2AI_TEST", "x")
    assert module.Platform().variables["ECO2AI_TEST"] == "x"


def nothing_counts(key: str, number: int) -> int:
    raise AssertionError(key)


def test_ranks_that_nothing_synchronises_agree_on_the_first_one_s_run() -> None:
    held: dict[str, str] = {}
    context = RunContext(rank=(0, 2), store=SharedStore(held.setdefault, nothing_counts))
    one, two = (proposed(replace(context, rank=(rank, 2))) for rank in (0, 1))
    assert one == two
    assert list(held) == ["run/0/0"]
    assert proposed(RunContext(rank=(0, 1), store=SharedStore(held.setdefault, nothing_counts))).run != one.run


def test_ranks_that_torchrun_starts_again_agree_anew_in_the_store_of_those_before() -> None:
    asked: list[str] = []

    def agree(key: str, value: str) -> str:
        asked.append(key)
        return value

    for count in ("0", "1"):
        environ = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RESTART_COUNT": count}
        platform = fake_platform(Clock(), environ=environ, number=lambda: 0)
        context = RunContext(rank=(0, 2), store=SharedStore(agree, nothing_counts))
        propose_run(resolve({"region": "FR", "log_file": None}), platform, context)
    assert asked == ["run/0/0", "run/1/0"]


def test_an_evaluation_of_one_rank_does_not_shift_the_numbers_of_its_fits() -> None:
    counts = {"number": itertools.count().__next__, "evaluations": itertools.count().__next__}
    platform = fake_platform(Clock(), environ={}, **counts)
    asked: list[str] = []

    def agree(key: str, value: str) -> str:
        asked.append(key)
        return value

    for alone in (True, False, True, False):
        context = RunContext(rank=(0, 2), alone=alone, store=SharedStore(agree, nothing_counts))
        propose_run(resolve({"region": "FR"}), platform, context)
    assert asked == ["run/0/-1", "run/0/0", "run/0/-2", "run/0/1"]
