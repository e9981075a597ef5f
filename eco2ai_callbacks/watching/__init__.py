"""A run that is being trained, as its log grows."""
