"""Whether one group of runs uses less energy than another, and how sure that is."""
