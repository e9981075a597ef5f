"""The ways of knowing energy: one file a source."""
