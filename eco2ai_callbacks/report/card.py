"""A model card's emissions from run logs."""

from __future__ import annotations

from typing import Any

from eco2ai_callbacks.metrics.model_card import CardFacts, TrainingType
from eco2ai_callbacks.report.statement import SOFTWARE, Statement, listed


def field_of(
    found: Statement, training_type: TrainingType | None = None, hardware: str | None = None
) -> dict[str, Any] | None:
    """Return the value of ``co2_eq_emissions`` for runs; ``None`` where nothing was measured.

    Args:
        found: What is to be said of the runs.
        training_type: ``pre-training`` or ``fine-tuning``, where that is known.
        hardware: The devices in words, in place of the GPUs that the logs name.
    """
    software = listed(found.software)
    facts = CardFacts(
        source=f"eco2AI ({software})" if software.startswith(SOFTWARE) else software,
        location="; ".join(found.places) or None,
        hardware=hardware or found.hardware,
    )
    return facts.field(found.sum.usage, training_type)
