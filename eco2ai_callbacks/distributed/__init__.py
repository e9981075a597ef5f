"""One run over several ranks."""
