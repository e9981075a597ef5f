"""The machine-readable forms that standards and laws ask for."""
