from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eco2ai_callbacks.settings import resolve
from eco2ai_callbacks.settings.ray import results_folder


def worker(kind: str = "local", **folders: Any) -> Any:
    """Return a module of Ray as a worker sees it."""
    storage = SimpleNamespace(storage_filesystem=SimpleNamespace(type_name=kind), **folders)
    return SimpleNamespace(get_context=lambda: SimpleNamespace(get_storage=lambda: storage))


def refused() -> Any:
    raise RuntimeError("`get_context` cannot be used outside of a Ray Train training function")


OUTSIDE = SimpleNamespace(get_context=refused)
EMPTY = SimpleNamespace(get_context=lambda: SimpleNamespace(get_storage=lambda: None))


@pytest.mark.parametrize(
    ("modules", "found"),
    [
        pytest.param({}, None, id="no Ray"),
        pytest.param({"ray.train": OUTSIDE, "ray.tune": OUTSIDE}, None, id="a driver"),
        pytest.param({"ray.train": worker(experiment_fs_path="/store/run")}, "/store/run", id="a training"),
        pytest.param(
            {
                "ray.train": OUTSIDE,
                "ray.tune": worker(trial_fs_path="/store/run/trial", experiment_fs_path="/store/run"),
            },
            "/store/run/trial",
            id="a trial",
        ),
        pytest.param({"ray.train": worker("s3", experiment_fs_path="bucket/run")}, None, id="another file system"),
        pytest.param({"ray.train": EMPTY, "ray.tune": OUTSIDE}, None, id="a trial that keeps nothing"),
        pytest.param({"ray.train": worker()}, None, id="another version"),
    ],
)
def test_the_folder_is_that_of_the_trial_or_training(modules: dict[str, Any], found: str | None):
    assert results_folder(modules) == (None if found is None else Path(found))


def test_it_holds_the_log_unless_a_setting_says_otherwise(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("eco2ai_callbacks.settings.sources.results_folder", lambda: Path("/store/run"))
    settings = resolve(environ={}, site_files=())
    assert settings.log_file == Path("/store/run/eco2ai.jsonl")
    assert settings.origin["log_file"] == "Ray's storage path"
    assert resolve({"log_file": None}, environ={}, site_files=()).log_file is None
    assert resolve(environ={"ECO2AI_LOG_FILE": "mine.jsonl"}, site_files=()).log_file == Path("mine.jsonl")
