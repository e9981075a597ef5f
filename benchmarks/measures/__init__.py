"""What is measured: one file for each kind, with a function that returns its rows."""
