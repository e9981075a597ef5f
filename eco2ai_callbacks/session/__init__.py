"""One session of a tracker, from start to stop: meters, ledger, journal, and their assembly."""
