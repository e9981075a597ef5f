"""The energy of GPUs."""
