"""What readers make of run logs: sums, tables, a page."""
