"""The run log: an append-only JSON Lines file, from which every total can be computed."""
