"""The code that the adapters share; imports no framework."""
