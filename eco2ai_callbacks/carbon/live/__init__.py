"""Live sources of carbon intensity: off unless the setting ``intensity`` names one; each is one file."""
