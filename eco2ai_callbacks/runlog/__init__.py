"""The run log, a JSON-lines file that is only appended to: the truth about what was used."""
