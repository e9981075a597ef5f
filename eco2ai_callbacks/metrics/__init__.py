"""Figures for loggers, computed from usage: scalars, forecast, budget, model card."""
