"""Fit a model to one machine, keep it, and use it later: its CPU's power, and what a meter at the wall shows."""
