"""The names of eco2AI's interface."""

from __future__ import annotations

import pytest

from eco2ai_callbacks import eco2ai

# What `import eco2ai` offers in eco2ai 0.3.12, and what its README uses.
EVERYTHING = {
    "CPU",
    "GPU",
    "RAM",
    "Tracker",
    "__version__",
    "all_available_cpu",
    "all_available_gpu",
    "available_devices",
    "get_params",
    "set_params",
    "summary",
    "track",
}


def test_it_offers_what_eco2ai_offers_but_its_meters() -> None:
    assert {name for name in EVERYTHING if not hasattr(eco2ai, name)} == {"CPU", "GPU", "RAM"}
    with pytest.raises(AttributeError, match=r"^eco2ai_callbacks\.eco2ai has no GPU: a Tracker measures"):
        _ = eco2ai.GPU
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = eco2ai.Nonsense
    assert all(hasattr(eco2ai, name) for name in eco2ai.__all__)
