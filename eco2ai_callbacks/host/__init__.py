"""The machine, and the trackers that run on it now."""
