from __future__ import annotations

from eco2ai_callbacks.session.stages import Segment, Stages


def test_outside_of_all_stages_a_training_runs_its_next_epoch():
    stages = Stages()
    assert stages.inside is None
    assert stages.current == Segment("train", 0, 1)
    stages.close_epoch(0)
    assert stages.current == Segment("train", 1, 1)


def test_outside_of_all_stages_an_adapter_is_nowhere():
    stages = Stages("other")
    assert stages.current == Segment("other")
    assert stages.named("validate", None) == Segment("validate")


def test_looking_begins_no_epoch():
    stages = Stages()
    assert stages.current == Segment("train", 0, 1)
    assert stages.latest("train", 0) == Segment("train", 0, 1)
    stages.close_epoch(4)
    assert stages.named("train", 0) == Segment("train", 0, 1)


def test_stages_are_nested():
    stages = Stages("other")
    stages.enter("train", 3)
    stages.enter("validate")
    assert stages.current == stages.inside == Segment("validate", 3, 1)
    stages.leave()
    assert stages.current == Segment("train", 3, 1)
    stages.leave()
    assert stages.current == Segment("other")
    stages.leave()
    assert stages.current == Segment("other")


def test_an_epoch_that_is_entered_again_is_another_attempt():
    stages = Stages("other")
    for attempt in (1, 2, 3):
        stages.enter("train", 0)
        assert stages.current == Segment("train", 0, attempt)
        stages.close_epoch(0)
        assert stages.inside is None
    assert stages.latest("validate", 0) == Segment("validate", 0, 3)


def test_an_epoch_that_is_under_way_stays_the_same_attempt():
    stages = Stages()
    assert stages.named("train", 0) == stages.named("train", 0) == Segment("train", 0, 1)
    stages.close_epoch(0)
    assert stages.named("train", 0) == Segment("train", 0, 2)


def test_a_resumed_run_goes_on_counting_attempts():
    stages = Stages("other", {0: 1, 1: 2})
    stages.enter("train", 1)
    assert stages.current == Segment("train", 1, 3)
    stages.close_epoch(1)
    stages.enter("train", 2)
    assert stages.current == Segment("train", 2, 1)


def test_a_validation_inside_an_epoch_that_nothing_has_named_yet_belongs_to_it():
    stages = Stages("train", {0: 1})
    stages.enter("validate")
    assert stages.current == Segment("validate", 0, 2)
    stages.leave()
    assert stages.named("train", None) == Segment("train", 0, 2)
    assert stages.latest("validate", 0) == Segment("validate", 0, 2)


def test_a_validation_after_its_epoch_belongs_to_the_attempt_that_was():
    stages = Stages("other")
    stages.enter("train", 0)
    stages.close_epoch(0)
    stages.enter("validate", 0)
    assert stages.current == Segment("validate", 0, 1)


def test_the_end_of_an_epoch_leaves_no_stage_but_its_own():
    stages = Stages("other")
    stages.enter("train", 0)
    stages.enter("validate")
    stages.close_epoch(0)
    assert stages.current == Segment("validate", 0, 1)


def test_a_stage_without_an_epoch_has_no_attempt():
    stages = Stages("other")
    stages.enter("test")
    assert stages.current == Segment("test", None, None)
    stages.close_epoch(None)
    assert stages.latest("test", None) == Segment("test")


def test_an_epoch_without_a_number_is_no_attempt():
    stages = Stages("other")
    stages.enter("train")
    assert stages.current == Segment("train", None, None)


def test_a_hundred_thousand_epochs_in_a_row_take_no_memory() -> None:
    stages = Stages()
    for epoch in range(100_000):
        stages.named("train", epoch)
        stages.close_epoch(epoch)
    assert stages.named("train", 99_999).attempt == 2
    assert len(stages._attempts._others) == 1
