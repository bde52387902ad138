"""Reference: statistics of in-distribution images."""
