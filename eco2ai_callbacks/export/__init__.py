"""Run logs in the forms of other tools and of standards."""
