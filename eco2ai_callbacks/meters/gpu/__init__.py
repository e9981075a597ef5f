"""Measure the energy of GPUs."""
