"""Objects of which a process has one, in callbacks that are copied and sent to other processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.session.by_hand import StartedByHand
from eco2ai_callbacks.session.context import Platform
from eco2ai_callbacks.session.of_process import OfProcess
from eco2ai_callbacks.session.siblings import Siblings
from eco2ai_callbacks.session.watched import WatchedCalls
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform


@pytest.mark.parametrize("kind", [Siblings, StartedByHand, WatchedCalls])
def test_a_copy_is_the_same_and_another_process_gets_one_of_its_own(kind: type[OfProcess]) -> None:
    one = kind()
    assert copy.copy(one) is one
    assert copy.deepcopy(one) is one
    sent = pickle.loads(pickle.dumps(one))
    assert type(sent) is kind
    assert sent is not one


def test_a_platform_can_be_sent_while_trackers_run() -> None:
    """As a callback with one is, by ``ddp_spawn``."""
    clock = Clock()
    with Tracker(region="FR", console=False, platform=fake_platform(clock, FakeMeter(clock, {"cpu": 1.0}))) as run:
        by_hand = Tracker(region="FR", console=False, platform=fake_platform(clock, FakeMeter(clock, {"cpu": 1.0})))
        by_hand.start()
        sent = pickle.loads(pickle.dumps(Platform()))
        assert sent.siblings.runs() == set()
        assert run.run_id in Platform().siblings.runs()
        by_hand.stop()
