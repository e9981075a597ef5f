"""A model card with text and metadata of a user's own, and the values that a run adds to it."""

from __future__ import annotations

VALUES = {
    "emissions": 12.5,
    "source": "eco2AI",
    "training_type": "fine-tuning",
    "geographical_location": "California, United States",
    "hardware_used": "2 x NVIDIA L4",
}
CARD = """---
license: mit
language:
- en
- fr
tags:
- généré
model-index:
- name: small
  results:
  - task:
      type: text-classification
    dataset:
      name: glue
      type: glue
    metrics:
    - type: accuracy
      value: 0.91
---

# A model

The user's own words, with a line of `---` below.

---

| a | b |
"""
