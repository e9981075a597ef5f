"""A benchmark that compares the package with other energy trackers, on the same loads, in the same run."""
