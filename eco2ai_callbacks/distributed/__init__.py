"""Several ranks, one run."""
