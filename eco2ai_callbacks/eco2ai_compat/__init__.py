"""eco2AI's own interface over this package; :mod:`eco2ai_callbacks.eco2ai` offers it."""
