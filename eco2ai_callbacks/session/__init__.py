"""One start to stop: meters, ledger, journal, and how they are put together."""
