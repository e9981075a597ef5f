"""From usage to numbers for loggers: scalars, forecast, budget, model card."""
